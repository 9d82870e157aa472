"""Checks of the evaluation itself: whether gradients of a network can be trusted to find its weak points.

Attacks that follow gradients overrate a network that hides them (Athalye et al., arXiv 1802.00420).
"""

import logging

import torch
from torch import Tensor, nn

from lottery_pipeline.robustness.gradients import cross_entropy, differentiate, weights_frozen
from lottery_pipeline.robustness.pgd import pgd
from lottery_pipeline.robustness.threat import Threat
from lottery_pipeline.training.evaluation import EvaluationError, modes_restored

logger = logging.getLogger(__name__)

# Largest difference of a logit between two passes of a network that draws nothing.
_SAME = 1e-4
_SUMS_TO_ONE = 1e-5


def check_gradients(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Refuse a network that attacks cannot follow, before it is trained; warn where they find nothing.

    Args:
        model: pixels in [0, 1], ``[N, C, H, W]``, to logits ``[N, K]``; stays as it is.
        images: any.
        labels: int64 ``[N]``.

    Raises:
        EvaluationError: the gradient by the pixels is cut off or not finite.
    """
    with modes_restored(model), weights_frozen(model):
        _, _, gradient = differentiate(model.eval(), images, labels, cross_entropy)
        differentiate(model, images[:1], labels[:1], cross_entropy)  # the last image that stands is alone
    if not bool(gradient.isfinite().all()):
        raise EvaluationError(
            "attacks follow the gradient of the loss by the pixels, which is not finite in this network"
        )
    if not bool(gradient.any()):
        logger.warning(
            "The gradient of the loss by the pixels is 0 in this network, as behind a rounding: attacks that "
            "follow it find nothing, so robust accuracies will be too high."
        )


@torch.no_grad()
def is_randomised(model: nn.Module, images: Tensor) -> bool:
    """Whether two forward passes over the same images differ, as with dropout that is left on."""
    difference = (model(images) - model(images)).abs().max()
    return not bool(difference <= _SAME)


@torch.no_grad()
def gives_probabilities(model: nn.Module, images: Tensor) -> bool:
    """Whether all outputs look like probabilities: attacks need logits, whose gradients do not vanish."""
    outputs = model(images)
    return bool((outputs >= 0).all() and ((outputs.sum(1) - 1).abs() < _SUMS_TO_ONE).all())


def share_of_zero_gradients(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of images whose loss does not change with any pixel, as far as gradients tell."""
    _, _, gradient = differentiate(model, images, labels, cross_entropy)
    return float((gradient == 0).flatten(1).all(1).double().mean())


def is_monotone(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat: Threat,
    *,
    steps: int,
    step_size: float | None,
    seed: int,
    indices: Tensor,
) -> bool:
    """Whether PGD with all its steps fools at least as many images as with half of them.

    Arguments are those of ``pgd``. With a step size of None each of the two has its own.
    """

    def count(own_steps: int) -> int:
        adversarial = pgd(
            model, images, labels, threat, steps=own_steps, step_size=step_size, seed=seed, indices=indices
        )
        with torch.no_grad():
            return int((model(adversarial).argmax(1) != labels).sum())

    return steps < 2 or count(steps) >= count(steps // 2)
