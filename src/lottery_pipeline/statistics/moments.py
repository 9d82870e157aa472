"""Intervals and tests of many groups at once, from their means, standard deviations and sizes.

The same numbers as ``t_interval`` gives of each group's values, without a loop in Python.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = Sequence[float] | NDArray[np.float64]

# Equal values differ by rounding once they were subtracted; such a spread is none.
_ROUNDING = 1e-12


def t_bounds(
    means: Numbers, deviations: Numbers, counts: Numbers, confidence: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of the t-interval of each group (Student 1908).

    Args:
        means: of the groups, ``[groups]``.
        deviations: standard deviations (n - 1) of their values; NaN where there is one value.
        counts: how many values each group has.
        confidence: how often such intervals hold the true mean, in (0, 1).

    Returns:
        Lower and upper ends, ``[groups]`` each; NaN for groups of fewer than two values.

    Raises:
        ValueError: the confidence is outside (0, 1).
    """
    from scipy.stats import t

    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), got {confidence!r}")
    mean, error, freedom = _prepare(means, deviations, counts)
    half = t.ppf((1 + confidence) / 2, freedom) * error
    return mean - half, mean + half


def t_test(means: Numbers, deviations: Numbers, counts: Numbers) -> NDArray[np.float64]:
    """Return how likely a mean at least as far from 0 is by chance, two-sided, for each group.

    Of differences that are paired, this is the paired t-test.

    Args:
        means: of the groups, ``[groups]``.
        deviations: standard deviations (n - 1) of their values.
        counts: how many values each group has.

    Returns:
        p-values, ``[groups]``; NaN where nothing can be tested: fewer than two values, or all are equal.
    """
    from scipy.stats import t

    mean, error, freedom = _prepare(means, deviations, counts)
    spread = np.where(error > _ROUNDING * np.maximum(1.0, np.abs(mean)), error, np.nan)
    return np.asarray(2 * t.sf(np.abs(mean) / spread, freedom))


def _prepare(means: Numbers, deviations: Numbers, counts: Numbers) -> tuple[NDArray[np.float64], ...]:
    """Return means, standard errors and degrees of freedom; the latter two are NaN below two values."""
    mean, deviation, n = (np.asarray(values, dtype=np.float64) for values in (means, deviations, counts))
    size = np.where(n >= 2, n, np.nan)
    return mean, deviation / np.sqrt(size), size - 1
