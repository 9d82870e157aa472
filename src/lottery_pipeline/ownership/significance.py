"""How surprising a number of hits is: tail probabilities in bits, exact however small they are.

A bit is a halving: b bits of evidence are a probability of 2^-b. All sums are taken relative to their largest
term, so that 1,152 bits (10^-347, which no float can hold) are as exact as 10.
"""

import math
from collections.abc import Sequence

import numpy as np

from lottery_pipeline.ownership.errors import OwnershipError


def binomial_bits(hits: int, n: int, p: float) -> float:
    """Return -log2 P[Bin(n, p) >= hits], at least 0.

    The first term of the tail is exact, as its binomial coefficient is an integer; the others follow from it
    by their ratios. Where the tail holds more than half, its complement is summed instead.

    Args:
        hits: what was counted, 0..n.
        n: how often it was tried.
        p: chance of a single hit, in (0, 1].

    Raises:
        OwnershipError: a number is outside its range.
    """
    _check(hits, n, p)
    if hits == 0 or p == 1:
        return 0.0
    if hits > n * p:
        return max(0.0, -_log2_pmf(hits, n, p) - math.log2(_sum_upwards(hits, n, p)))
    # Failures are counted downwards from hits - 1 as hits would be upwards.
    below = 2 ** (_log2_pmf(hits - 1, n, p) + math.log2(_sum_upwards(n - hits + 1, n, 1 - p)))
    return max(0.0, -math.log1p(-below) / math.log(2))


def adjust(bits: float, *, tries_log2: float) -> float:
    """Charge for everything that was tried and could have been reported (Bonferroni).

    Args:
        bits: of the best try.
        tries_log2: log2 of the number of tries; each bit of it costs a bit of evidence.

    Returns:
        What is left, at least 0.

    Raises:
        OwnershipError: there was less than one try.
    """
    if not tries_log2 >= 0:
        raise OwnershipError(f"the number of tries must be 1 or more, but its log2 is {tries_log2}")
    return max(0.0, bits - tries_log2)


def randomised_p(hits: int, n: int, p: float, uniform: float) -> float:
    """Return P[Bin(n, p) > hits] + uniform * P[Bin(n, p) = hits].

    Plain p-values of counts are discrete and therefore never uniform. These are, exactly, if ``uniform`` is
    drawn from [0, 1): so a test of calibration needs these.

    Raises:
        OwnershipError: a number is outside its range.
    """
    _check(hits, n, p)
    if not 0 <= uniform <= 1:
        raise OwnershipError(f"uniform must be from 0 to 1, not {uniform}")
    more = 0.0 if hits == n else 2 ** -binomial_bits(hits + 1, n, p)
    return (1 - uniform) * more + uniform * 2 ** -binomial_bits(hits, n, p)


def poisson_binomial_bits(hits: int, probabilities: Sequence[float]) -> float:
    """Return -log2 P[at least ``hits`` hits] of independent tries of unequal chances, at least 0.

    The distribution is convolved one try at a time, in logarithms: n^2 / 2 steps.

    Args:
        hits: what was counted, from 0 to the number of tries.
        probabilities: chance of each try, in [0, 1].

    Raises:
        OwnershipError: a number is outside its range.
    """
    chances = np.asarray(probabilities, dtype=np.float64)
    n = len(chances)
    if not 0 <= hits <= n:
        raise OwnershipError(f"there cannot be {hits} hits in {n} tries")
    if not ((chances >= 0) & (chances <= 1)).all():
        raise OwnershipError("every chance must be from 0 to 1")
    with np.errstate(divide="ignore"):
        log_hit, log_miss = np.log2(chances), np.log1p(-chances) / math.log(2)
    pmf = np.full(n + 1, -np.inf)
    pmf[0] = 0.0
    for index in range(n):
        head = pmf[: index + 2]
        head[1:] = np.logaddexp2(head[1:] + log_miss[index], head[:-1] + log_hit[index])
        head[0] += log_miss[index]
    if hits > chances.sum():
        return max(0.0, -float(np.logaddexp2.reduce(pmf[hits:])))
    below = 2 ** float(np.logaddexp2.reduce(pmf[:hits])) if hits else 0.0
    return max(0.0, -math.log1p(-below) / math.log(2))


def _check(hits: int, n: int, p: float) -> None:
    if not 0 <= hits <= n:
        raise OwnershipError(f"there cannot be {hits} hits in {n} tries")
    if not 0 < p <= 1:
        raise OwnershipError(f"the chance of a hit must be above 0 and at most 1, not {p}")


def _log2_pmf(hits: int, n: int, p: float) -> float:
    """Return log2 P[Bin(n, p) = hits] for p < 1."""
    misses = n - hits
    return math.log2(math.comb(n, hits)) + hits * math.log2(p) + misses * math.log1p(-p) / math.log(2)


def _sum_upwards(hits: int, n: int, p: float) -> float:
    """Return P[Bin(n, p) >= hits] / P[Bin(n, p) = hits], which is small where hits > n p."""
    counts = np.arange(hits, n, dtype=np.float64)
    return 1.0 + float(np.cumprod((n - counts) / (counts + 1) * (p / (1 - p))).sum())
