"""A tiny supernet and its dense run, for tests of SuperTickets."""

from typing import Any

import torch

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.methods.supertickets.joint_search import JointSearch
from lottery_pipeline.methods.supertickets.supertickets import plan_search
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.supernet.config import Attention, Head, Stage, Supernet
from lottery_pipeline.options import SuperticketOptions
from lottery_pipeline.training.dense import DenseRun, pretrain
from lottery_pipeline.training.recipe import Recipe
from tests.tiny import spec_for

TINY = Supernet(
    input_stride=1,
    stem_channels=4,
    stages=(Stage(blocks=(1,), channels=(4,)), Stage(blocks=(1, 1), channels=(4, 6))),
    kernel_sizes=(3, 5),
    expand_ratio=1,
    attention=Attention(tokens=3, grid=2),
    head=Head(channels=(4, 6), width=8),
)
RECIPE = Recipe(
    learning_rate=0.1, momentum=0.9, epochs=6, batch_size=20, weight_decay=1e-3, schedule="cosine"
)


def supernet_spec(images: ImageSplits, **changes: Any) -> ModelSpec:
    return spec_for(images, "supernet", supernet=TINY, **changes)


def pretrain_supernet(images: ImageSplits) -> DenseRun:
    """Train the supernet for one epoch: a search takes nothing from it but theta_0 and the fingerprint."""
    recipe = RECIPE.replace(epochs=1)
    return pretrain(images, supernet_spec(images), recipe, rewind_epoch=0, seed=0, device="cpu")


def ask(density: float = 0.2, **options: Any) -> SuperticketOptions:
    return SuperticketOptions.model_validate({"density": density, "calibration_batches": 2, **options})


def start_events(images: ImageSplits, options: SuperticketOptions, recipe: Recipe = RECIPE) -> JointSearch:
    """Return the events of a search over a fresh supernet, as ``train`` would be given them."""
    spec = supernet_spec(images)
    plan = plan_search(spec, images, recipe, options, seed=0)
    return JointSearch(build_model(spec, seed=1), spec, plan, images, torch.device("cpu"))
