"""A training step never makes the host wait for the device, whatever the recipe asks for."""

import pytest
import torch

from lottery_pipeline.training.batches import Batches
from lottery_pipeline.training.host import WaitsRefused
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.margin import Margin
from lottery_pipeline.training.optimiser import MaskedOptimiser
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.step import CountedStep, TrainingStep
from lottery_pipeline.training.tasks import TASKS
from tests.training.tiny import TinyDenseNet, TinyNet, tiny_dense_images, tiny_images, tiny_masks, tiny_set

RECIPE = Recipe(epochs=1, batch_size=8)


@pytest.fixture(autouse=True)
def watched(monkeypatch):
    """Every step is watched; the fixture lists them."""
    steps, make_step = [], TrainingStep.__call__

    def watch(step, index, *arguments):
        steps.append(index)
        with WaitsRefused("cpu"):
            return make_step(step, index, *arguments)

    monkeypatch.setattr(TrainingStep, "__call__", watch)
    return steps


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimiser": "adam", "clip_norm": 0.5, "label_smoothing": 0.1, "flip": True, "crop_padding": 1},
        {"loss_reduction": "sum", "precision": "bfloat16", "optimiser": "nesterov"},
        {"adversary": {"kind": "pgd", "norm": "L2", "eps": 0.5, "steps": 2}},
    ],
)
def test_no_recipe_makes_the_step_wait(changes, watched):
    model = TinyNet()
    margin = Margin({"fc.weight": torch.ones(3, 36)}, 0.1)
    train(
        model,
        tiny_images(),
        RECIPE.replace(**changes),
        seed=0,
        masks=tiny_masks(model),
        margin=margin,
        extra=tiny_set(5, seed=9),
        extra_per_batch=2,
        device="cpu",
    )
    assert watched == [0, 1, 2]


@pytest.mark.parametrize("task", ["segmentation", "keypoints"])
def test_no_task_makes_the_step_wait(task, watched):
    train(TinyDenseNet(2), tiny_dense_images(task), RECIPE, seed=0, device="cpu")
    assert watched == [0, 1, 2]


@pytest.mark.parametrize("changes", [{}, {"flip": True, "crop_padding": 1, "clip_norm": 0.5}])
def test_a_captured_step_needs_no_number_of_the_device(monkeypatch, changes):
    # Tensors on "meta" have none, and they take the ways through the code that those on a GPU take.
    monkeypatch.setattr(torch, "_fused_sgd_", lambda *_, **__: None)  # torch knows it on real devices only
    meta, recipe, model = torch.device("meta"), RECIPE.replace(**changes), TinyNet().to("meta")
    batches = Batches(tiny_set(22, seed=0), recipe, seed=0, device=meta)
    batches.start_epoch(0)
    step = TrainingStep(
        model=model,
        network=model,
        optimiser=MaskedOptimiser(model, recipe, tiny_masks(TinyNet())),
        batches=batches,
        recipe=recipe,
        task=TASKS["classification"],
        image_size=(6, 6),
        one=torch.ones((), device=meta),
    )
    place, rate = torch.zeros(1, dtype=torch.int64, device=meta), torch.ones((), device=meta)

    assert CountedStep(step)(place, rate).shape == (1,)
    with pytest.raises(RuntimeError, match="meta"):
        place.item()
