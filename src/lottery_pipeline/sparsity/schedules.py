"""Schedules: how many weights each pruning round keeps, always recomputed from D, so nothing drifts."""

import math
from collections.abc import Mapping
from decimal import Decimal, localcontext
from fractions import Fraction

from lottery_pipeline.sparsity.allocation import DensityError, exact_fraction, kept_count


def ladder_counts(prunable: int, *, density: float, rate: float) -> list[int]:
    """Return the kept counts of rungs 1..R on the way down to a density.

    R is the nearest whole number to log(density) / log(1 - rate), at least 1; rung r < R keeps
    floor((1 - rate)**r D), the last exactly floor(density D).

    Args:
        prunable: D.
        density: of the last rung, in (0, 1]; at 1 there is nothing to prune and the ladder is empty.
        rate: fraction of the remaining weights that a round removes, in (0, 1).

    Raises:
        DensityError: density or rate out of range, or nothing would be kept.
    """
    last = kept_count(density, prunable)
    keep = _kept_fraction(rate)
    if keep == 1:
        raise DensityError(f"rate must be in (0, 1) to reach a density, got {rate!r}")
    if density == 1:
        return []
    rungs = max(1, round(math.log(density) / math.log(keep)))
    return [math.floor(keep**rung * prunable) for rung in range(1, rungs)] + [last]


def round_counts(prunable: int, *, rate: float, rounds: int) -> list[int]:
    """Return floor((1 - rate)**r D) for rounds r = 1..rounds.

    Args:
        prunable: D.
        rate: fraction of the remaining weights that a round removes, in [0, 1).
        rounds: number of rounds.

    Raises:
        DensityError: the rate is out of range, rounds are negative, or nothing would be kept.
    """
    keep = _kept_fraction(rate)
    _check_rounds(rounds)
    counts = [math.floor(keep**number * prunable) for number in range(1, rounds + 1)]
    _check_kept(counts, prunable)
    return counts


def layer_counts(
    sizes: Mapping[str, int], *, rates: Mapping[str, float], rounds: int
) -> list[dict[str, int]]:
    """Return floor((1 - rate_l)**r n_l) per layer for rounds r = 1..rounds (Frankle & Carbin 2019, appendix).

    Args:
        sizes: number of weights per layer, n_l.
        rates: fraction of the remaining weights that a round removes, per layer, in [0, 1).
        rounds: number of rounds.

    Returns:
        One dict per round. A small layer may lose all its weights; all layers together may not.

    Raises:
        DensityError: rates name other layers, a rate is out of range, rounds are negative, or nothing would
            be kept.
    """
    if rates.keys() != sizes.keys():
        raise DensityError(f"rates must name the same layers as sizes: {sorted(rates.keys() ^ sizes.keys())}")
    _check_rounds(rounds)
    keeps = {name: _kept_fraction(rates[name]) for name in sizes}
    counts = [
        {name: math.floor(keeps[name] ** number * size) for name, size in sizes.items()}
        for number in range(1, rounds + 1)
    ]
    _check_kept([sum(count.values()) for count in counts], sum(sizes.values()))
    return counts


def exponential_counts(prunable: int, *, density: float, rounds: int) -> list[int]:
    """Return floor(density**(n / rounds) D) for rounds n = 1..rounds (Tanaka et al. 2020, SynFlow).

    Args:
        prunable: D.
        density: after the last round, in (0, 1].
        rounds: number of rounds, at least 1.

    Returns:
        Non-increasing; the last exactly floor(density D).

    Raises:
        DensityError: density or rounds out of range, or nothing would be kept.
    """
    last = kept_count(density, prunable)
    _check_rounds(rounds, least=1)
    with localcontext(prec=60):
        base, nearly_one = Decimal(str(density)), 1 + Decimal("1e-40")
        # A root that is a whole number may come out too low in the 60th digit.
        powers = [base ** (Decimal(number) / rounds) * nearly_one for number in range(1, rounds)]
        return [math.floor(power * prunable) for power in powers] + [last]


def _kept_fraction(rate: float) -> Fraction:
    if rate == 0 and not isinstance(rate, bool):
        return Fraction(1)
    fraction = exact_fraction(rate, "rate")
    if fraction == 1:
        raise DensityError("rate must be below 1: a round that removes everything leaves no ticket")
    return 1 - fraction


def _check_rounds(rounds: int, *, least: int = 0) -> None:
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < least:
        raise DensityError(f"rounds must be a whole number, at least {least}, got {rounds!r}")


def _check_kept(counts: list[int], prunable: int) -> None:
    if counts and counts[-1] < 1:
        fatal = next(number for number, count in enumerate(counts, start=1) if count < 1)
        raise DensityError(f"round {fatal} would keep none of {prunable} prunable weights; use fewer rounds")
