"""Several tests at once: p-values that stay honest however many there are."""

import math
from collections.abc import Hashable, Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that one false alarm among all of them is as rare as each claims (Holm 1979).

    The smallest of m p-values is multiplied by m, the next by m - 1 and so on, and none ends up below the one
    before. (statsmodels has this too, but collects garbage in every call, which takes up to a second.)

    Args:
        p_values: of all tests that were made, in any order, each in [0, 1].

    Returns:
        Adjusted p-values in the same order, at most 1.

    Raises:
        ValueError: a p-value is outside [0, 1].
    """
    for p in p_values:
        if not 0 <= p <= 1:
            raise ValueError(f"p-values must be in [0, 1], got {p!r}")
    adjusted, highest, count = [0.0] * len(p_values), 0.0, len(p_values)
    for rank, index in enumerate(sorted(range(count), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def holm_by_family(p_values: Sequence[float], families: Sequence[Hashable]) -> list[float]:
    """Adjust p-values by Holm's method within each family of tests.

    Args:
        p_values: in any order; NaN is a test that could not be made, and does not count.
        families: which family each belongs to.

    Returns:
        Adjusted p-values in the same order; NaN stays NaN.

    Raises:
        ValueError: the two have different lengths, or a p-value is outside [0, 1].
    """
    members: dict[Hashable, list[int]] = {}
    for index, (p, family) in enumerate(zip(p_values, families, strict=True)):
        if not math.isnan(p):
            members.setdefault(family, []).append(index)
    adjusted = [math.nan] * len(p_values)
    for indices in members.values():
        for index, p in zip(indices, holm([p_values[index] for index in indices]), strict=True):
            adjusted[index] = p
    return adjusted
