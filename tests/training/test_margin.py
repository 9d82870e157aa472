"""Chosen weights are kept from becoming small while a network trains."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.sparsity.masks import apply_masks_
from lottery_pipeline.training import run as run_module
from lottery_pipeline.training.batches import Batches
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.margin import Margin, MarginTerm
from lottery_pipeline.training.recipe import Recipe
from tests.reference.mask_code_naive import margin_gradients
from tests.reference.training_naive import make_optimiser
from tests.training.tiny import TinyNet, tiny_images, tiny_masks, untimed


def masked_net(**options):
    model = TinyNet(**options)
    masks = tiny_masks(model)
    apply_masks_(dict(model.named_parameters()), masks)
    return model, masks


def choose_floors(masks, *, share=0.5, names=("conv.weight", "fc.weight"), seed=2):
    """Floors from 0.75 to 1.5 for some of the kept weights, 0 for all others."""
    generator = torch.Generator().manual_seed(seed)
    floors = {}
    for name in names:
        drawn = 0.75 + 0.75 * torch.rand(masks[name].shape, generator=generator)
        chosen = torch.rand(masks[name].shape, generator=generator) < share
        floors[name] = drawn * (chosen & masks[name])
    return floors


def gradients_of(margin, model, masks, scale=1.0):
    model.zero_grad()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    MarginTerm(margin, model, masks, scale).add_gradients_()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def test_a_known_gradient():
    model = torch.nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, -1.0], [0.5, 0.0]]))
    masks = {"weight": torch.tensor([[True, True], [True, False]])}
    floors = {"weight": torch.tensor([[1.0, 1.0], [0.5, 0.0]])}
    typical = (10.25 / 3) ** 0.5  # of the three kept weights
    found = gradients_of(Margin(floors, 2.0), model, masks)["weight"]
    # 2 * strength * (floor * typical - |w|), against the sign of w; 3.0 is above its floor already.
    expected = torch.tensor([[0.0, 4 * (typical - 1)], [-4 * (0.5 * typical - 0.5), 0.0]])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    "names", [("conv.weight", "fc.weight"), ("fc.weight", "conv.weight"), ("fc.weight",)]
)
@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_the_gradient_is_that_of_the_documented_term(names, scale):
    model, masks = masked_net()
    with torch.no_grad():
        model.conv.weight.mul_(3)  # so that the layer counts in one, and the network in the other
    floors = choose_floors(masks, names=names)
    found = gradients_of(Margin(floors, 0.7), model, masks, scale)
    expected = margin_gradients(dict(model.named_parameters()), masks, floors, 0.7 * scale)
    for name, gradient in found.items():
        if name in floors:
            torch.testing.assert_close(gradient, expected[name].float(), rtol=1e-5, atol=1e-7)
            assert gradient.any()
        else:
            assert not gradient.any()


def test_the_gradient_is_added_to_that_of_the_loss():
    model, masks = masked_net(dropout=0.0)
    margin = Margin(choose_floors(masks), 0.7)
    alone = gradients_of(margin, model, masks)
    images, labels = torch.rand(5, 1, 6, 6), torch.tensor([0, 1, 2, 0, 1])
    model.zero_grad()
    F.cross_entropy(model(images), labels).backward()
    before = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    MarginTerm(margin, model, masks, 1.0).add_gradients_()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, before[name] + alone[name])


def test_weights_in_other_memory_layouts_have_the_same_gradient():
    model, masks = masked_net()
    margin = Margin(choose_floors(masks), 0.7)
    expected = gradients_of(margin, model, masks)
    found = gradients_of(margin, model.to(memory_format=torch.channels_last), masks)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient)


def test_a_parameter_without_a_gradient_is_left_alone():
    model, masks = masked_net()
    term = MarginTerm(Margin(choose_floors(masks), 0.7), model, masks, 1.0)
    model.zero_grad(set_to_none=True)
    term.add_gradients_()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_determines_a_margin_is_its_floors_and_its_strength():
    masks = masked_net()[1]
    records = [
        Margin(choose_floors(masks), 0.7).record(),
        Margin(choose_floors(masks), 0.8).record(),
        Margin(choose_floors(masks, seed=3), 0.7).record(),
    ]
    assert records[0] == Margin(choose_floors(masks), 0.7).record()
    assert len({str(record) for record in records}) == 3


RECIPE = Recipe(epochs=3, batch_size=8, learning_rate=0.05, flip=True, crop_padding=1)


def run(margin=None, *, recipe=RECIPE, checkpoints=None, **options):
    model, masks = masked_net(**options)
    return train(
        model,
        tiny_images(),
        recipe,
        seed=3,
        masks=masks,
        device="cpu",
        checkpoints=checkpoints,
        margin=margin,
    )


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_training_follows_the_sum_of_loss_and_term(reduction):
    """Two steps of SGD against autograd; a summed loss has the term of a summed margin."""
    recipe = Recipe(
        iterations=2,
        batch_size=8,
        learning_rate=0.01,
        weight_decay=0.01,
        momentum=0.9,
        loss_reduction=reduction,
    )
    model, masks = masked_net(dropout=0.0)
    floors, strength = choose_floors(masks), 0.7
    optimiser = make_optimiser(list(model.parameters()), recipe)
    batches = Batches(tiny_images().train, recipe, seed=3, device=torch.device("cpu"))
    batches.start_epoch(0)
    for step in range(2):
        pixels, labels = batches.get(step)
        optimiser.zero_grad()
        F.cross_entropy(model(pixels), labels, reduction=reduction).backward()
        scaled = strength * (8 if reduction == "sum" else 1)
        term = margin_gradients(dict(model.named_parameters()), masks, floors, scaled)
        with torch.no_grad():
            for name, gradient in term.items():
                model.get_parameter(name).grad.add_(gradient.float())
            for name, mask in masks.items():
                model.get_parameter(name).grad.mul_(mask)
        optimiser.step()

    result = run(Margin(floors, strength), recipe=recipe, dropout=0.0)

    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(result.state[name], tensor, rtol=1e-4, atol=1e-6)
    without = run(recipe=recipe, dropout=0.0)
    assert not torch.allclose(without.state["fc.weight"], result.state["fc.weight"], rtol=1e-3)


def test_weights_below_their_floor_grow_and_pruned_weights_stay_zero():
    model, masks = masked_net()
    floors = choose_floors(masks, share=0.3)
    start = {name: model.get_parameter(name).detach().clone() for name in masks}
    trained, plain = run(Margin(floors, 3.0)), run()
    kept = torch.cat([trained.state[name][mask] for name, mask in masks.items()])
    everywhere = kept.square().mean().sqrt()
    for name, floor in floors.items():
        typical = torch.maximum(everywhere, trained.state[name][masks[name]].square().mean().sqrt())
        low = (floor > 0) & (start[name].abs() < 0.5 * floor * typical)
        assert low.any()
        sizes = trained.state[name].abs()
        assert (sizes[low] > start[name].abs()[low]).all()
        assert (sizes[floor > 0] > 0.85 * (floor * typical)[floor > 0]).all()
        assert not trained.state[name][~masks[name]].any()
        assert (plain.state[name].abs()[low] < 0.85 * (floor * typical)[low]).any()


def test_a_margin_belongs_to_the_identity_of_a_training(tmp_path):
    masks = masked_net()[1]
    margins = [
        None,
        Margin(choose_floors(masks), 0.7),
        Margin(choose_floors(masks), 0.8),
        Margin(choose_floors(masks, seed=3), 0.7),
    ]
    checkpoints = Checkpoints(tmp_path)
    results = [run(margin, checkpoints=checkpoints) for margin in margins]
    assert len({result.fingerprint for result in results}) == 4
    assert len({fingerprint_tensors(result.state) for result in results}) == 4
    assert run(margins[1]).fingerprint == results[1].fingerprint


def test_without_a_margin_the_identity_of_a_training_is_what_it_was(monkeypatch):
    from lottery_pipeline.training import loop

    records, hash_record = [], loop.fingerprint
    monkeypatch.setattr(loop, "fingerprint", lambda record: records.append(record) or hash_record(record))
    margin = Margin(choose_floors(masked_net()[1]), 0.7)
    run()
    run(margin)

    assert "margin" not in records[0]
    assert records[1].pop("margin") == margin.record()
    assert records[1] == records[0]


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_a_training_with_a_margin_killed_at_any_step_resumes_bit_for_bit(optimiser, tmp_path, monkeypatch):
    class KilledError(BaseException):
        pass

    class DeadlyCheckpoints(Checkpoints):
        def save(self, *arguments):
            super().save(*arguments)
            raise KilledError

    monkeypatch.setattr(run_module, "_SEGMENT_SECONDS", 0.0)
    recipe = RECIPE.model_copy(update={"optimiser": optimiser, "learning_rate": 0.02})
    margin = Margin(choose_floors(masked_net()[1]), 0.7)
    expected = run(margin, recipe=recipe)
    deaths = 0
    while deaths < 9:  # the ninth save is that of the finished training
        with pytest.raises(KilledError):
            run(margin, recipe=recipe, checkpoints=DeadlyCheckpoints(tmp_path, interval_seconds=0))
        deaths += 1
    result = run(margin, recipe=recipe, checkpoints=Checkpoints(tmp_path))

    assert fingerprint_tensors(result.state) == fingerprint_tensors(expected.state)
    assert untimed(result.history) == untimed(expected.history)
    assert result.fingerprint == expected.fingerprint
