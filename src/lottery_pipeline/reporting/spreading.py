"""Markers that would hide each other, moved apart."""

from collections.abc import Sequence

Place = tuple[float | None, float | None]


def spread(places: Sequence[Place], width: float, height: float) -> list[float | None]:
    """Move markers sideways until none covers another.

    Each stays where it is if it can; else it is moved by as few widths as possible, to the right first.

    Args:
        places: of the markers, as they lie on the axes (logarithms on a logarithmic one); a marker without a
            place has none.
        width: of a marker, in units of the first axis.
        height: of a marker, in units of the second; infinite if no two may stand above each other.

    Returns:
        The first coordinates.
    """
    taken: list[tuple[float, float]] = []
    moved: list[float | None] = []
    for x, y in places:
        if x is None or y is None:
            moved.append(x)
            continue
        step = 0
        while not _is_free(x + step * width, y, taken, width, height):
            step = -step if step > 0 else 1 - step
        taken.append((x + step * width, y))
        moved.append(x + step * width)
    return moved


def measure_span(values: Sequence[float | None]) -> float:
    """Return how far the values that are there lie apart; at least a hair, so that it can be divided by."""
    known = [value for value in values if value is not None]
    return max(max(known) - min(known), 1e-9) if known else 1e-9


def _is_free(x: float, y: float, taken: Sequence[tuple[float, float]], width: float, height: float) -> bool:
    # A little less than a width, so that rounding takes no neighbour for a hidden one.
    return all(abs(x - other) >= 0.99 * width or abs(y - beside) >= height for other, beside in taken)
