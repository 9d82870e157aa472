"""Sums over the processes of a data-parallel training, some of which can be differentiated.

A process holds the same weights as the others and has its own images. What it finds for its images is added
up; from the sum, all compute the same. In a process that is alone, nothing is done.
"""

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor

from lottery_pipeline.training.collectives import add_up_
from lottery_pipeline.training.parallel import find_team


def add_up(tensor: Tensor) -> Tensor:
    """Return the sum over all processes, from which every one computes the same.

    Differentiable, any number of times: the gradient of the sum is that of every addend.
    """
    return tensor if find_team() is None else cast(Tensor, _Sum.apply(tensor))


def add_up_for_parts(tensor: Tensor) -> Tensor:
    """Return the sum over all processes, from which every one computes something for its own images.

    Differentiable, any number of times: the gradients of the sum are added up, too.
    """
    return tensor if find_team() is None else cast(Tensor, _Copy.apply(_Sum.apply(tensor)))


def average(value: Tensor, count: int) -> Tensor:
    """Return a mean over the images of a batch, from that over the images of this process.

    Args:
        value: scalar, a mean over images; differentiable.
        count: of the images of this process, at least 1.

    Returns:
        The same on all processes; the gradients that follow from it are this process's addends.
    """
    if find_team() is None:
        return value
    total = add_up(torch.stack([value * count, torch.full_like(value, count)]))
    return total[0] / total[1]


@torch.no_grad()
def add_up_gradients_(parameters: Iterable[Tensor], weight: Tensor, *, is_mean: bool) -> None:
    """Add up the gradients of all processes, in place.

    Args:
        parameters: one without a gradient takes no part in this step on any process.
        weight: scalar, by which this process has multiplied its loss; a count if it is a mean.
        is_mean: whether the sum is divided by that of the weights.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return
    flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), weight.to(gradients[0]).reshape(1)])
    add_up_(flat)
    if is_mean:
        flat /= flat[-1].clamp_min(1)
    parts = flat[:-1].split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view(gradient.shape))


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:  # noqa: ARG004 (torch calls it so)
        return add_up_(tensor.detach().clone(memory_format=torch.contiguous_format))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # noqa: ARG004 (torch calls it so)
        return _Copy.apply(gradients[0])


class _Copy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:  # noqa: ARG004 (torch calls it so)
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # noqa: ARG004 (torch calls it so)
        return _Sum.apply(gradients[0])
