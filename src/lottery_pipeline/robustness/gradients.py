"""Gradients of losses by the pixels: no gradient of a weight is ever computed, and each pass is counted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lottery_pipeline.training.evaluation import EvaluationError

ImageLoss = Callable[[Tensor, Tensor], Tensor]  # (logits [N, K], labels [N]) -> [N]


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of each image, ``[N]``."""
    return nn.functional.cross_entropy(logits, labels, reduction="none")


def negative_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the highest other logit minus that of the label, ``[N]``: above 0 means misclassified."""
    own = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.amax(1) - own


def differentiate(
    model: nn.Module, images: Tensor, labels: Tensor, loss: ImageLoss
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one forward and one backward pass.

    Args:
        model: pixels in [0, 1] -> logits; an image's logits depend on that image alone.
        images: ``[N, C, H, W]``.
        labels: int64 ``[N]``.
        loss: of each image.

    Returns:
        Logits ``[N, K]``, losses ``[N]`` and the gradient of each loss by its image, all detached.

    Raises:
        EvaluationError: the network, its weights frozen, cuts the gradient off.
    """
    pixels = images.detach().requires_grad_()
    with torch.enable_grad():
        logits = model(pixels)
        losses = loss(logits, labels)
        if not losses.requires_grad:
            raise EvaluationError(
                "attacks follow the gradient of the loss by the pixels, which this network cuts off, as a "
                "detach() or no_grad() on the way to the logits does"
            )
        (gradient,) = torch.autograd.grad(losses.sum(), pixels)
    return logits.detach(), losses.detach(), gradient


@contextmanager
def weights_frozen(model: nn.Module) -> Iterator[None]:
    """Take the weights out of the graph, so that a backward pass ends at the pixels; restore them after."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in trainable:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


@dataclass
class PassCounter:
    """How many images have gone through a model to be differentiated."""

    gradients: int = 0


@contextmanager
def gradients_counted(model: nn.Module) -> Iterator[PassCounter]:
    """Count the images of all forward passes that a backward pass may follow, whoever makes them.

    The weights must be frozen: then a forward pass is recorded only where the pixels ask for a gradient.
    """
    counter = PassCounter()

    def count(_model: nn.Module, _inputs: Any, logits: Tensor) -> None:
        if logits.requires_grad:
            counter.gradients += len(logits)

    handle = model.register_forward_hook(count)
    try:
        yield counter
    finally:
        handle.remove()
