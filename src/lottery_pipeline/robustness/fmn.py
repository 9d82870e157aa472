"""FMN: the smallest change that fools a network (Pintor et al., arXiv 2102.12827).

The change of an image climbs the loss and is cut to a radius. The radius shrinks while the image is
misclassified and grows while it is not, ever less, so it settles at the boundary of the class.

With few steps the paper's form often finds nothing, above all in L2. Four things differ:

- The loss is a soft margin: other classes count with the best one if their logits are close to its own. Two
  of them that take turns then do not turn the direction back and forth.
- Until the image is misclassified for the first time, the radius only grows. Otherwise a local maximum of the
  loss, where the boundary seems near, holds the image for good.
- A step is a share of the radius, along the steepest direction of the norm. It needs no tuning to the size of
  the images.
- The radius changes faster where there are few steps.
"""

import math

import torch
from torch import Tensor, nn

from lottery_pipeline.images.balls import distance, shorten, steepest
from lottery_pipeline.options.robustness import Norm
from lottery_pipeline.robustness.gradients import differentiate

# First and last step as a share of the radius; a cosine in between.
_STEP = (1.0, 0.01)
# By which share the radius changes in the last step; likewise.
_LAST_RATE = 0.001
# The first rate is this over the number of steps, but within the bounds; the paper's is the lower one.
_RATE_OVER_STEPS, _FIRST_RATES = 6.0, (0.05, 0.5)
# How close is close, as a share of the range of an image's logits.
_TEMPERATURE = 0.1


def fmn(model: nn.Module, images: Tensor, labels: Tensor, norm: Norm, *, steps: int) -> tuple[Tensor, Tensor]:
    """Look for the nearest misclassified neighbour of each image, starting at the image itself.

    Args:
        model: pixels in [0, 1] -> logits, in evaluation mode.
        images: float32 ``[N, C, H, W]`` in [0, 1].
        labels: int64 ``[N]``.
        norm: of the distance.
        steps: gradients per image.

    Returns:
        The neighbours, in [0, 1], and their distances ``[N]``. Where none was found, the image itself and
        infinity.
    """
    farthest = distance(torch.maximum(images, 1 - images), torch.zeros_like(images), norm)
    best, nearest = images.clone(), torch.full_like(farthest, torch.inf)
    current, radius = images, torch.zeros_like(farthest)
    low, high = _FIRST_RATES
    first_rate = min(max(_RATE_OVER_STEPS / steps, low), high)
    for step in range(steps):
        logits, losses, gradient = differentiate(model, current, labels, _soft_margin)
        wrong = logits.argmax(1) != labels
        moved = distance(current, images, norm)
        closer = wrong & (moved < nearest)
        best[closer], nearest[closer] = current[closer], moved[closer]
        if step == steps - 1:
            break
        rate = _anneal(first_rate, _LAST_RATE, step / steps)
        grown = radius * (1 + rate)
        boundary = moved + losses.abs() / _dual_length(gradient, norm).clamp_min(1e-12)
        outside = torch.where(nearest.isfinite(), grown, torch.maximum(grown, boundary))
        inside = torch.minimum(radius * (1 - rate), nearest)
        radius = torch.where(wrong, inside, outside).minimum(farthest)
        limit = radius[:, None, None, None]
        stride = _anneal(*_STEP, step / steps) * limit
        change = shorten(current - images + stride * steepest(gradient, norm), norm, limit)
        current = change.add_(images).clamp_(0, 1)
    return best, nearest


def _soft_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the log-sum-exp of the other logits minus that of the label, whatever the scale of logits."""
    span = (logits.amax(1) - logits.amin(1)).detach().clamp_min(1e-12)
    temperature = _TEMPERATURE * span
    own = logits.gather(1, labels[:, None]).squeeze(1)
    others = (logits / temperature[:, None]).scatter(1, labels[:, None], -torch.inf)
    return temperature * others.logsumexp(1) - own


def _anneal(first: float, last: float, done: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * done)) / 2


def _dual_length(gradient: Tensor, norm: Norm) -> Tensor:
    """Return how fast the loss can grow per unit of distance."""
    return torch.linalg.vector_norm(gradient, ord=1 if norm == "Linf" else 2, dim=(1, 2, 3))
