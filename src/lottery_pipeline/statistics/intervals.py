"""Intervals: what a few runs say about the mean of all. Seeds are the unit."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import NamedTuple


class Interval(NamedTuple):
    """A mean and where the true one lies; the bounds are None if there is only one value."""

    mean: float
    low: float | None
    high: float | None
    n: int


def t_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the mean of independent values with its t-interval (Student 1908).

    Args:
        values: at least one, one for each seed.
        confidence: how often such intervals hold the true mean, in (0, 1).

    Returns:
        mean ± t s / sqrt(n), with t of n - 1 degrees of freedom and s the standard deviation (n - 1).

    Raises:
        ValueError: there is no value, or the confidence is outside (0, 1).
    """
    from scipy.stats import t

    if not values:
        raise ValueError("an interval needs at least one value")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), got {confidence!r}")
    mean, n = fmean(values), len(values)
    if n == 1:
        return Interval(mean, None, None, n)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * stdev(values) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)
