"""Several tests at once: p-values that stay honest however many there are."""

from collections.abc import Sequence


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
