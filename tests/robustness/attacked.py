"""Small evaluations under attack, and how to read them."""

import torch
from torch import nn

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.options.robustness import AdversarialOptions, AutoAttackOptions
from lottery_pipeline.robustness.adversarial import measure_adversarial
from tests.robustness.linear_models import draw_images

EPS = (0.005, 0.01, 0.02)
SMALL = {"eps": EPS, "eps_limit": None, "steps": 6, "fmn_steps": 10}
ALL = {
    **SMALL,
    "attacks": ("fgsm", "fmn", "pgd", "autoattack"),
    "autoattack": AutoAttackOptions(iterations=5, queries=20),
}


def measure(model: nn.Module, images: ImageSet, **changes: object) -> dict:
    given = {"seed": 0, "resamples": 200, "confidence": 0.95}
    for name in ("seed", "checkpoints", "identity", "on_progress", "indices"):
        if name in changes:
            given[name] = changes.pop(name)
    indices = given.pop("indices", torch.arange(len(images)))
    return measure_adversarial(model, images, indices, AdversarialOptions(**{**SMALL, **changes}), **given)


def curve(result: dict) -> list[float]:
    return [row["value"] for row in result["rows"] if row["metric"] == "robust_accuracy"]


def row_of(result: dict, metric: str) -> dict:
    (row,) = [row for row in result["rows"] if row["metric"] == metric]
    return row


def draw_partly_wrong(model: nn.Module) -> ImageSet:
    """36 images; every sixth label is wrong."""
    found = draw_images(model, 36)
    labels = found.labels.clone()
    labels[::6] = (labels[::6] + 1) % 4
    return ImageSet(found.images, labels)
