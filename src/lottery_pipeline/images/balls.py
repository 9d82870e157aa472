"""Balls around images: distances, nearest points, steepest directions and random points."""

import math

import torch
from torch import Tensor

from lottery_pipeline.options.robustness import Norm

_PIXEL_DIMENSIONS = (1, 2, 3)
_TINY = 1e-12


def distance(changed: Tensor, images: Tensor, norm: Norm) -> Tensor:
    """Return how far each image has moved, ``[N]``."""
    order = math.inf if norm == "Linf" else 2
    return torch.linalg.vector_norm(changed - images, ord=order, dim=_PIXEL_DIMENSIONS)


def project(changed: Tensor, images: Tensor, norm: Norm, eps: float) -> Tensor:
    """Return the nearest images within the balls, cut to the box [0, 1].

    The cut moves every pixel towards the clean image, so the result lies in the ball as well.

    Args:
        changed: ``[N, C, H, W]``.
        images: the centres, in [0, 1], same shape.
        norm: of the balls.
        eps: their radius.
    """
    radius = changed.new_full((1,), eps)
    return shorten(changed - images, norm, radius).add_(images).clamp_(0, 1)


def shorten(change: Tensor, norm: Norm, radius: Tensor) -> Tensor:
    """Return the nearest changes that are no longer than a radius.

    Args:
        change: ``[N, C, H, W]``.
        norm: of the length.
        radius: of all changes, ``[1]``, or of each, ``[N, 1, 1, 1]``.
    """
    if norm == "Linf":
        return change.maximum(-radius).minimum(radius)
    return change * (radius / _measure(change)).clamp_max(1)


def steepest(gradient: Tensor, norm: Norm) -> Tensor:
    """Return the direction of length 1 in which a linear function with this gradient grows most.

    Args:
        gradient: ``[N, C, H, W]``.
        norm: of the length; the direction is the sign in Linf and the scaled gradient in L2.
    """
    return gradient.sign() if norm == "Linf" else gradient / _measure(gradient)


def draw_unit_ball(like: Tensor, norm: Norm, generator: torch.Generator | None = None) -> Tensor:
    """Draw a point of the unit ball for each image, uniformly.

    Args:
        like: ``[N, C, H, W]``; gives shape, type and device.
        norm: of the ball.
        generator: of the device; by default its default one, as for dropout.
    """
    points = torch.empty_like(like)
    if norm == "Linf":
        return points.uniform_(-1, 1, generator=generator)
    # A uniform direction, and a radius whose power of the dimension is uniform.
    points.normal_(generator=generator)
    shares = points.new_empty(len(points), 1, 1, 1).uniform_(generator=generator)
    return points.mul_(shares ** (1 / points[0].numel()) / _measure(points))


def _measure(change: Tensor) -> Tensor:
    """Return Euclidean lengths that can be divided by, ``[N, 1, 1, 1]``."""
    return torch.linalg.vector_norm(change, dim=_PIXEL_DIMENSIONS, keepdim=True).clamp_min(_TINY)
