"""How a mask search holds its density: GradBalance (Concrete Ticket Search, arXiv 2512.07142) and Lagrange.

Both add ``multiplier`` times the gradient of a sparsity error to the gradient of the objective. With
sigma = sigmoid(alpha) the keep probabilities and n the target number of weights,

    S = 100 (sum sigma / n - 1),    dS/dalpha = 100 / n * sigma (1 - sigma).
"""

from typing import NamedTuple

import torch
from torch import Tensor

_SLACK = 1.1  # exactness comes from the top-k at the end
_MEMORY = 0.99  # of the moving average
_MULTIPLIER_RATE = 0.01  # of the Lagrange multiplier, relative to that of the logits
_TINY = 1e-12


class Balanced(NamedTuple):
    """One step: the gradient [D] for the optimiser, and the scalars lambda, S and expected density."""

    gradient: Tensor
    multiplier: Tensor
    error: Tensor
    expected_density: Tensor


def balance_gradients(
    logits: Tensor,
    gradient: Tensor,
    multiplier: Tensor | None,
    *,
    density: float,
    rate: float | Tensor,
) -> Balanced:
    """GradBalance: one-sided pressure, as strong as the objective's own gradient.

    lambda* = |g_R| / (|g_S| + 1e-12) where S > 0, else 0; lambda is lambda* at the first step and then
    0.99 lambda + 0.01 lambda*. S is measured against 1.1 times the target number, so at the start, where all
    keep probabilities are the density, S = -9.09 and lambda = 0. This is the rule of all revisions of the
    authors' code; the formula in the paper could not be read.

    Args:
        logits: alpha [D].
        gradient: g_R, the gradient of the objective with respect to alpha, [D].
        multiplier: lambda of the previous step; None at the first.
        density: the target, in (0, 1).
        rate: learning rate of the step, a number or a scalar on the device; not used here.
    """
    del rate
    error, pressure, expected = measure_density(logits, _SLACK * density * logits.numel())
    ratio = _norm(gradient) / (_norm(pressure) + _TINY)
    target = torch.where(error > 0, ratio, torch.zeros_like(ratio))
    now = target if multiplier is None else _MEMORY * multiplier + (1 - _MEMORY) * target
    return Balanced(gradient + now * pressure, now, error, expected)


def ascend_multiplier(
    logits: Tensor,
    gradient: Tensor,
    multiplier: Tensor | None,
    *,
    density: float,
    rate: float | Tensor,
) -> Balanced:
    """Lagrange: lambda climbs by SGD at 0.01 times the rate of alpha, from 0 and signed; no slack.

    Arguments as in ``balance_gradients``. The authors' figures show it to be less stable than GradBalance.
    """
    error, pressure, expected = measure_density(logits, density * logits.numel())
    pace = _MULTIPLIER_RATE * rate
    if isinstance(rate, Tensor):  # rounded once, as a number is
        pace = (_MULTIPLIER_RATE * rate.double()).to(error.dtype)
    now = pace * error + (0 if multiplier is None else multiplier)
    return Balanced(gradient + now * pressure, now, error, expected)


def measure_density(logits: Tensor, aim: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the sparsity error S (scalar), its gradient for the logits [D], and the expected density.

    Args:
        logits: alpha [D].
        aim: number of weights at which S is 0.
    """
    keep = torch.sigmoid(logits)
    total = keep.sum()
    return 100 * (total / aim - 1), keep * (1 - keep) * (100 / aim), total / logits.numel()


def _norm(vector: Tensor) -> Tensor:
    """Euclidean norm, scaled by the largest entry: squares of gradients of 1e-25 are 0 in float32."""
    largest = vector.abs().max()
    scale = torch.where(largest > 0, largest, torch.ones_like(largest))
    return scale * torch.linalg.vector_norm(vector / scale)
