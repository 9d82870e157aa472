"""Comparisons on the same items: the bootstrap over items, and McNemar's test of two networks."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from lottery_pipeline.statistics.intervals import Interval

Numbers = Sequence[float] | np.ndarray

_DRAWS_AT_ONCE = 2**20


class McNemar(NamedTuple):
    """What two networks disagree about, and how likely a split at least as uneven is by chance.

    Attributes:
        only_first: items that only the first network has right.
        only_second: items that only the second network has right.
        p: two-sided, exact.
    """

    only_first: int
    only_second: int
    p: float


def mcnemar(first: Sequence[bool] | np.ndarray, second: Sequence[bool] | np.ndarray) -> McNemar:
    """Test whether two networks are right equally often on the same items (McNemar 1947).

    The exact binomial form: of the items on which they differ, each network should have half.

    Args:
        first: whether the first network is right, for each item.
        second: the same of the second network, in the same order.

    Raises:
        ValueError: the two have different lengths, or there are no items.
    """
    from statsmodels.stats.contingency_tables import mcnemar as test

    ours, theirs = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    _check_pairs(ours, theirs)
    only_first, only_second = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    p = test([[0, only_first], [only_second, 0]], exact=True).pvalue
    return McNemar(only_first, only_second, float(p))


def bootstrap_interval(values: Numbers, *, resamples: int, seed: int, confidence: float = 0.95) -> Interval:
    """Return the mean of values with its percentile interval (Efron 1979).

    Args:
        values: one for each independent item, at least one.
        resamples: how often as many items are drawn with replacement.
        seed: of the draws, at least 0.
        confidence: how often such intervals hold the true mean, in (0, 1).

    Returns:
        The bounds are None if there is only one value.

    Raises:
        ValueError: there is no value or no resample, or the confidence is outside (0, 1).
    """
    numbers = np.asarray(values, dtype=np.float64)
    draws = draw_resamples(len(numbers), resamples=resamples, seed=seed)
    means = np.concatenate([numbers[indices].mean(axis=1) for indices in draws])
    return _make_interval(float(numbers.mean()), means, len(numbers), confidence)


def paired_bootstrap(
    first: Numbers, second: Numbers, *, resamples: int, seed: int, confidence: float = 0.95
) -> Interval:
    """Return the mean of first - second over the same items, with its percentile interval.

    Items are drawn with both their values, so what makes an item hard for both cancels out.

    Raises:
        ValueError: the two have different lengths; otherwise see ``bootstrap_interval``.
    """
    ours, theirs = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    _check_pairs(ours, theirs)
    return bootstrap_interval(ours - theirs, resamples=resamples, seed=seed, confidence=confidence)


def bootstrap_statistic(
    statistic: Callable[[np.ndarray], float],
    n: int,
    *,
    resamples: int,
    seed: int,
    confidence: float = 0.95,
) -> Interval:
    """Return a statistic of n items with its percentile interval; arguments as in ``bootstrap_interval``.

    Args:
        statistic: of the items with the given indices, int64 ``[n]``; it may be infinite, but not NaN.
        n: number of items.
        resamples: how often the statistic is computed on drawn items.
        seed: of the draws, at least 0.
        confidence: of the interval.

    Raises:
        ValueError: see ``bootstrap_interval``.
    """
    draws = draw_resamples(n, resamples=resamples, seed=seed)
    values = np.array([statistic(indices) for chunk in draws for indices in chunk])
    return _make_interval(float(statistic(np.arange(n))), values, n, confidence)


def draw_resamples(n: int, *, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the indices of drawn items, ``[r, n]`` at a time, ``resamples`` rows in all.

    Raises:
        ValueError: there are no items or no resamples.
    """
    if n < 1 or resamples < 1:
        raise ValueError(f"a bootstrap needs items and resamples, got {n} and {resamples}")
    generator = np.random.default_rng(seed)
    rows = max(1, _DRAWS_AT_ONCE // n)
    for start in range(0, resamples, rows):
        yield generator.integers(n, size=(min(rows, resamples - start), n))


def find_percentiles(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """Return the bounds that hold the middle ``confidence`` of values.

    Both are values that occur, so that infinite ones need no interpolation.

    Raises:
        ValueError: the confidence is outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), got {confidence!r}")
    cut = int((1 - confidence) / 2 * len(values))
    ascending = np.sort(values)
    return float(ascending[cut]), float(ascending[len(values) - 1 - cut])


def _make_interval(mean: float, resampled: np.ndarray, n: int, confidence: float) -> Interval:
    low, high = find_percentiles(resampled, confidence)
    return Interval(mean, None, None, n) if n == 1 else Interval(mean, low, high, n)


def _check_pairs(first: np.ndarray, second: np.ndarray) -> None:
    if len(first) != len(second) or not len(first):
        raise ValueError(f"a pair needs the same items on both sides, got {len(first)} and {len(second)}")
