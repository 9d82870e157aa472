import pytest
import torch
from torch import nn

from lottery_pipeline.sparsity.masks import apply_masks_
from lottery_pipeline.training.optimiser import MaskedOptimiser
from lottery_pipeline.training.recipe import Recipe, RecipeError
from tests.reference.training_naive import make_optimiser
from tests.training.tiny import TinyNet, tiny_masks, tiny_set

OPTIMISERS = ["sgd", "nesterov", "adam", "adamw"]


def batch(size: int = 8):
    image_set = tiny_set(size, seed=1)
    return image_set.images.float() / 255, image_set.labels


def recipe_for(optimiser: str, **changes) -> Recipe:
    rate = 0.01 if optimiser.startswith("adam") else 0.1
    given = {"epochs": 1, "optimiser": optimiser, "learning_rate": rate, "weight_decay": 1e-2, **changes}
    return Recipe(**given)


def make_steps(model: nn.Module, optimiser: MaskedOptimiser, count: int, rate: float) -> None:
    pixels, labels = batch()
    for _ in range(count):
        nn.functional.cross_entropy(model(pixels), labels).backward()
        optimiser.step(rate)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_pruned_weights_and_their_moments_are_exactly_zero_after_twenty_steps(optimiser):
    model = TinyNet(dropout=0.0)
    masks = tiny_masks(model)
    apply_masks_(dict(model.named_parameters()), masks)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    recipe = recipe_for(optimiser, clip_norm=1.0)
    masked = MaskedOptimiser(model, recipe, masks)

    make_steps(model, masked, 20, recipe.learning_rate)

    parameters = dict(model.named_parameters())
    kinds = ("first", "second") if optimiser.startswith("adam") else ("momentum",)
    for name, mask in masks.items():
        for tensor in (parameters[name].detach(), *(masked.moments[kind][name] for kind in kinds)):
            assert torch.equal(tensor[~mask], torch.zeros(int((~mask).sum())))
            assert bool((tensor[mask] != 0).all())
        assert not torch.signbit(parameters[name][~mask]).any()
        assert bool((parameters[name] != before[name])[mask].all())


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_steps_agree_with_torchs_optimiser(optimiser, memory_format):
    fast, slow = TinyNet(dropout=0.0).to(memory_format=memory_format), TinyNet(dropout=0.0)
    recipe = recipe_for(optimiser)
    reference = make_optimiser(list(slow.parameters()), recipe)
    pixels, labels = batch()

    make_steps(fast, MaskedOptimiser(fast, recipe, None), 10, recipe.learning_rate)
    for _ in range(10):
        reference.zero_grad()
        nn.functional.cross_entropy(slow(pixels), labels).backward()
        reference.step()

    for name, parameter in fast.named_parameters():
        torch.testing.assert_close(parameter, slow.get_parameter(name), rtol=2e-4, atol=1e-6)


def test_without_momentum_there_is_no_state():
    model = TinyNet(dropout=0.0)
    optimiser = MaskedOptimiser(model, recipe_for("sgd", momentum=0.0), None)
    before = model.fc.weight.detach().clone()

    make_steps(model, optimiser, 1, 0.1)

    assert optimiser.tensors() == {}
    assert not torch.equal(model.fc.weight, before)


def test_the_norm_is_clipped_over_kept_weights_only():
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 0.0]]))
    recipe = Recipe(epochs=1, momentum=0.0, learning_rate=1.0, clip_norm=1.0)
    optimiser = MaskedOptimiser(model, recipe, {"weight": torch.tensor([[True, False]])})

    model(torch.tensor([[0.5, 1000.0]])).sum().backward()  # gradient (0.5, 1000)
    optimiser.step(1.0)

    assert torch.equal(model.weight, torch.tensor([[0.5, 0.0]]))


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_a_parameter_without_a_gradient_is_left_alone(optimiser):
    model = TinyNet(dropout=0.0)
    model.spare = nn.Linear(3, 3)
    masks = tiny_masks(model)
    before = model.spare.weight.detach().clone()

    make_steps(model, MaskedOptimiser(model, recipe_for(optimiser), masks), 3, 0.01)

    assert torch.equal(model.spare.weight, before)


def test_frozen_parameters_have_no_state():
    model = TinyNet()
    model.conv.requires_grad_(False)

    optimiser = MaskedOptimiser(model, recipe_for("sgd"), tiny_masks(model))

    assert not any("conv" in name for name in optimiser.tensors())


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_training_resumes_bit_for_bit_from_a_saved_state(optimiser):
    recipe = recipe_for(optimiser)
    whole, parts = TinyNet(dropout=0.0), TinyNet(dropout=0.0)

    make_steps(whole, MaskedOptimiser(whole, recipe, None), 6, 0.01)
    first = MaskedOptimiser(parts, recipe, None)
    make_steps(parts, first, 3, 0.01)
    second = MaskedOptimiser(parts, recipe, None)
    second.load({name: tensor.clone() for name, tensor in first.tensors().items()})
    make_steps(parts, second, 3, 0.01)

    assert all(torch.equal(p, parts.get_parameter(name)) for name, p in whole.named_parameters())


def test_what_regularises_is_added_after_clipping():
    model = TinyNet()
    recipe = recipe_for("sgd").replace(clip_norm=1e-9, weight_decay=0.0, momentum=0.0)
    optimiser = MaskedOptimiser(model, recipe, None)
    before = model.fc.bias.detach().clone()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step(0.5, lambda: model.fc.bias.grad.add_(2.0))
    torch.testing.assert_close(model.fc.bias.detach(), before - 1.0)


def test_a_state_of_another_network_is_refused():
    optimiser = MaskedOptimiser(TinyNet(), recipe_for("sgd"), None)
    tensors = {**optimiser.tensors(), "momentum/fc.bias": torch.zeros(7)}

    with pytest.raises(ValueError, match=r"momentum/fc.bias has shape \(7,\), not \(3,\)"):
        optimiser.load(tensors)
    with pytest.raises(KeyError):
        optimiser.load({})


def test_a_network_of_mixed_number_types_is_refused():
    model = TinyNet()
    model.fc.double()

    with pytest.raises(RecipeError, match="mixes number types"):
        MaskedOptimiser(model, recipe_for("sgd"), None)
