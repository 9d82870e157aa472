"""Which ticket comes first: the validation images choose, since test images would flatter the chosen one."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lottery_pipeline.reporting import formatting as fmt

Row = Mapping[str, Any]


def rank(row: Row, name: str) -> tuple[bool, float, int, str]:
    """Return the sort key of a ticket: validation accuracy, fewer weights, name.

    Args:
        row: ``kept``, and ``validation_accuracy`` (a fraction); tickets that lack the latter come last.
        name: of its run.
    """
    accuracy = row.get("validation_accuracy")
    missing = fmt.is_missing(accuracy)
    return missing, 0.0 if accuracy is None or missing else -accuracy, int(row["kept"]), name


def pick_density(rows: Iterable[Row]) -> float:
    """Return the density that most tickets share, the lowest in a tie; only equal densities compare."""
    counts = Counter(float(row["density"]) for row in rows)
    return min(density for density, count in counts.items() if count == max(counts.values()))


def can_choose(rows: Sequence[Row]) -> bool:
    """Tell whether a best ticket can be named: there is only one, or all have a validation accuracy."""
    return len(rows) == 1 or not any(fmt.is_missing(row.get("validation_accuracy")) for row in rows)
