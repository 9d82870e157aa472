import copy

import pytest
import torch

from lottery_pipeline.models.registry import build_model
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.sparsity.masks import MaskError
from lottery_pipeline.training.evaluation import evaluate
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.recipe import Recipe, RecipeError
from tests.reference.training_naive import train_naively
from tests.tiny import spec_for
from tests.training.tiny import TinyNet, tiny_images, tiny_masks, untimed

SHORT = Recipe(epochs=2, batch_size=8, learning_rate=0.05, weight_decay=1e-3)  # 22 images: 3 steps an epoch


def run(model=None, images=None, recipe=SHORT, **options):
    model = model if model is not None else TinyNet()
    options = {"seed": 1, "device": "cpu", **options}
    return train(model, images or tiny_images(), recipe, **options)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimiser": "nesterov", "flip": True, "label_smoothing": 0.1},
        {"optimiser": "adam", "learning_rate": 0.01, "crop_padding": 1},
        {"schedule": "cosine", "warmup_epochs": 1, "crop_padding": 2, "crop_mode": "reflect", "flip": True},
        {"clip_norm": 0.5, "loss_reduction": "sum"},
        {"momentum": 0.0, "schedule": "step", "milestones": [1]},
    ],
)
def test_kept_weights_follow_the_trajectory_of_masking_in_the_forward_pass(changes):
    recipe = SHORT.replace(**changes)
    images = tiny_images()
    fast, slow = TinyNet(dropout=0.0), TinyNet(dropout=0.0)
    masks = tiny_masks(fast)

    result = run(fast, images, recipe, masks=masks)
    losses = train_naively(slow, images.train, recipe, seed=1, masks=masks)

    for name, parameter in slow.named_parameters():
        kept = masks.get(name, torch.ones_like(parameter, dtype=torch.bool))
        torch.testing.assert_close(result.state[name][kept], parameter.detach()[kept], rtol=1e-3, atol=1e-5)
        assert not result.state[name][~kept].any()
    for name, buffer in slow.named_buffers():
        torch.testing.assert_close(result.state[name], buffer, rtol=1e-3, atol=1e-5)
    sizes = [8, 8, 6] if recipe.loss_reduction == "mean" else [1, 1, 1]
    expected = sum(loss * size for loss, size in zip(losses[-3:], sizes, strict=True)) / 22
    assert result.history[-1]["train_loss"] == pytest.approx(expected, rel=1e-3)


def test_a_row_per_epoch_tells_where_the_training_is():
    model, images = TinyNet(), tiny_images()
    recipe = SHORT.replace(epochs=3, schedule="step", milestones=[2])

    result = run(model, images, recipe)

    assert [row["epoch"] for row in result.history] == [1, 2, 3]
    assert [row["step"] for row in result.history] == [3, 6, 9]
    assert [row["learning_rate"] for row in result.history] == pytest.approx([0.05, 0.05, 0.005])
    measured = evaluate(model, images.validation)
    assert result.history[-1]["validation_loss"] == measured["loss"]
    assert result.history[-1]["validation_accuracy"] == measured["accuracy"]
    assert all(0 <= row["train_accuracy"] <= 1 for row in result.history)
    assert all(row["seconds"] > 0 and row["images_per_second"] > 0 for row in result.history)
    assert (result.steps, result.epochs) == (9, 3)
    assert result.seconds >= sum(row["seconds"] for row in result.history)
    assert result.early_stop_step in (3, 6, 9)


def test_iterations_and_an_evaluation_interval_set_the_rows():
    recipe = SHORT.replace(iterations=8, evaluation_interval=3)

    result = run(recipe=recipe)

    assert [row["step"] for row in result.history] == [3, 6, 8]
    assert result.history[-1]["epoch"] == pytest.approx(8 / 3)
    recipe = SHORT.replace(iterations=4, evaluation_interval=2)
    assert [row["epoch"] for row in run(recipe=recipe).history] == pytest.approx([2 / 3, 4 / 3])


def test_without_validation_images_the_numbers_are_none():
    result = run(images=tiny_images(validation=0))

    assert [row["validation_loss"] for row in result.history] == [None, None]
    assert result.history[0]["validation_accuracy"] is None
    assert result.early_stop_step == 6


def test_a_last_batch_of_one_image_is_dropped_without_harm():
    result = run(images=tiny_images(train=17))

    assert result.steps == 4


def test_the_model_is_trained_in_place_and_keeps_its_modes():
    model = TinyNet().eval()
    model.dropout.train()

    result = run(model)

    assert all(torch.equal(result.state[name], tensor) for name, tensor in model.state_dict().items())
    assert not model.training
    assert model.dropout.training


def test_the_same_seed_gives_the_same_training_and_leaves_the_generator_alone():
    before = torch.get_rng_state()

    first, second, other = run(), run(), run(seed=2)

    assert fingerprint_tensors(first.state) == fingerprint_tensors(second.state)
    assert untimed(first.history) == untimed(second.history)
    assert fingerprint_tensors(first.state) != fingerprint_tensors(other.state)
    assert torch.equal(torch.get_rng_state(), before)


def test_rows_are_told_one_by_one():
    told = []

    result = run(on_record=told.append)

    assert told == result.history


def test_snapshots_are_copies_of_the_state_before_a_step():
    model = TinyNet()
    initial = fingerprint_tensors(model.state_dict())
    sums = {}

    def note(row):
        sums[row["step"]] = fingerprint_tensors(model.state_dict())

    result = run(model, recipe=SHORT.replace(evaluation_interval=2), snapshot_steps=[0, 2, 6], on_record=note)

    assert sorted(result.snapshots) == [0, 2, 6]
    assert fingerprint_tensors(result.snapshots[0]) == initial
    assert fingerprint_tensors(result.snapshots[2]) == sums[2]
    assert fingerprint_tensors(result.snapshots[6]) == fingerprint_tensors(result.state)
    assert {"norm.running_mean", "norm.num_batches_tracked"} <= result.snapshots[2].keys()
    assert int(result.snapshots[2]["norm.num_batches_tracked"]) == 2
    assert all(tensor.is_contiguous() for tensor in result.snapshots[2].values())
    model.fc.weight.data.zero_()
    assert result.state["fc.weight"].any()


def test_a_snapshot_does_not_change_the_training():
    assert fingerprint_tensors(run(snapshot_steps=[1, 4]).state) == fingerprint_tensors(run().state)


def test_training_on_from_a_rewound_state_is_training_from_that_step():
    images, recipe = tiny_images(), SHORT.replace(epochs=3, momentum=0.0, schedule="cosine")
    model = TinyNet()
    whole = run(model, images, recipe, snapshot_steps=[4])

    model.load_state_dict(whole.snapshots[4])
    again = run(model, images, recipe, start_step=4)

    # Without momentum a fresh optimiser makes no difference; dropout within the epoch does, so compare from
    # the next epoch boundary on with a network that has none.
    plain = TinyNet(dropout=0.0)
    whole = run(plain, images, recipe, snapshot_steps=[4])
    plain.load_state_dict(whole.snapshots[4])
    again = run(plain, images, recipe, start_step=4)
    assert fingerprint_tensors(again.state) == fingerprint_tensors(whole.state)
    assert [row["step"] for row in again.history] == [6, 9]
    assert untimed(again.history[1:]) == untimed(whole.history[2:])
    assert again.epochs == pytest.approx(5 / 3)


def test_a_fresh_optimiser_has_no_momentum():
    images, recipe = tiny_images(), SHORT.replace(momentum=0.9)
    model = TinyNet(dropout=0.0)
    whole = run(model, images, recipe, snapshot_steps=[3])
    model.load_state_dict(whole.snapshots[3])
    naive = copy.deepcopy(model)

    again = run(model, images, recipe, start_step=3)

    train_naively(naive, images.train, recipe, seed=1, start_step=3)
    torch.testing.assert_close(again.state["fc.weight"], naive.fc.weight.detach(), rtol=1e-3, atol=1e-5)
    assert not torch.equal(again.state["fc.weight"], whole.state["fc.weight"])


def test_weights_are_masked_from_the_start_on():
    model = TinyNet()
    masks = tiny_masks(model)

    result = run(model, masks=masks, snapshot_steps=[0, 1, 5])

    for state in (*result.snapshots.values(), result.state):
        for name, mask in masks.items():
            assert not state[name][~mask].any()
            assert not torch.signbit(state[name][~mask]).any()
            assert bool((state[name] != 0)[mask].all())


def test_full_masks_change_nothing():
    model = TinyNet()
    full = {name: torch.ones_like(p, dtype=torch.bool) for name, p in model.named_parameters() if p.dim() > 1}

    assert fingerprint_tensors(run(model, masks=full).state) == fingerprint_tensors(run().state)


def test_bfloat16_trains_float32_weights():
    result = run(recipe=SHORT.replace(precision="bfloat16", epochs=4))

    assert result.state["conv.weight"].dtype == torch.float32
    assert result.history[-1]["train_loss"] == pytest.approx(
        run(recipe=SHORT.replace(epochs=4)).history[-1]["train_loss"], rel=0.2
    )


def test_the_network_learns():
    recipe = SHORT.replace(epochs=30, learning_rate=0.1, schedule="cosine")

    result = run(recipe=recipe)

    assert result.history[-1]["validation_accuracy"] == 1.0
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"] / 2


def test_whatever_determines_a_training_changes_its_fingerprint():
    images = tiny_images()
    variants = [
        run(images=images),
        run(images=images, seed=2),
        run(images=images, start_step=1),
        run(images=images, snapshot_steps=[3]),
        run(images=images, recipe=SHORT.replace(weight_decay=0.0)),
        run(TinyNet(seed=9), images),
        run(images=images, masks=tiny_masks(TinyNet())),
        run(images=tiny_images(train=21)),
    ]

    assert len({result.fingerprint for result in variants}) == len(variants)
    assert run(images=images, snapshot_steps=()).fingerprint == variants[0].fingerprint


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start_step": 6}, "start_step 6 is not between 0 and the last step, 5"),
        ({"start_step": -1}, "start_step -1"),
        ({"snapshot_steps": [7]}, "snapshot step 7 is not between the start, 0, and the end, 6"),
        ({"start_step": 3, "snapshot_steps": [2]}, "snapshot step 2"),
    ],
)
def test_steps_outside_the_training_are_refused(options, words):
    with pytest.raises(RecipeError, match=words):
        run(**options)


def test_masks_of_another_network_are_refused():
    with pytest.raises(MaskError):
        run(masks={"fc.weight": torch.ones(2, 2, dtype=torch.bool)})


def test_gradients_that_were_there_before_are_not_used():
    model = TinyNet()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 100.0)

    assert fingerprint_tensors(run(model).state) == fingerprint_tensors(run().state)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_that_flattens_by_view_is_trained_and_measured(channels):
    images, name = tiny_images(channels=channels), "tests.user_networks:flatten_by_view"
    twin = "tests.user_networks:flatten_by_reshape"
    found, expected = (
        run(build_model(spec_for(images, path), seed=0, allow_factory=path), images).history
        for path in (name, twin)
    )
    for row, other in zip(found, expected, strict=True):
        assert row["train_loss"] == pytest.approx(other["train_loss"], rel=1e-3)
        assert row["validation_loss"] == pytest.approx(other["validation_loss"], rel=1e-3)
