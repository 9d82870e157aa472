"""A training step never makes the host wait for the device, whatever the recipe asks for."""

import pytest
import torch

from lottery_pipeline.training.host import WaitsRefused
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.margin import Margin
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.step import TrainingStep
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
