"""The rows that a run reports on its way, as points of curves."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

# Drawn over epochs, because one training gives all of their rows; in the others several follow each other.
ONE_TRAINING = ("training", "dense", "parent")
# Clocks say nothing about a curve, and the others are the same in every row or are its place.
NOT_DRAWN = {"epoch", "epochs", "step", "round", "rung", "prunable", "seed", "seconds", "images_per_second"}

Point = tuple[str, float, int]  # key, value, step


class Curves:
    """Turns the rows of one MLflow run into points; a row that comes again gives none.

    What comes by round is one curve over a running number, never a curve per round: nobody can read hundreds.
    A resumed search replays its earlier rows in order, so a count suffices.

    Attributes:
        counts: number of rows by family of curves, but for results by rung.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._seen: set[tuple[Any, ...]] = set()
        self._axes: dict[str, str] = {}

    def place(self, part: str, row: Mapping[str, Any]) -> list[Point]:
        """Return the points of a row.

        Args:
            part: what reports it: ``training``, ``dense``, ``parent``, ``ladder``, ``controls`` or
                ``control_...``; all else is a part of the search.
            row: of a training (with ``step``), or a result by rung, perhaps of a ``control``.
        """
        family = "controls" if part.startswith("control") else part
        family = family if family in (*ONE_TRAINING, "ladder", "controls") else "search"
        place = (part, row.get("control"), row.get("step", row.get("rung")))
        if place in self._seen:
            return []
        self._seen.add(place)
        step = self._find_step(family, row)
        if "control" in row:
            row = {row["control"]: row["test_accuracy"]}
        numbers = {name: row[name] for name in row if name not in NOT_DRAWN and is_number(row[name])}
        return [(f"{family}/{name}", float(number), step) for name, number in numbers.items()]

    def _find_step(self, family: str, row: Mapping[str, Any]) -> int:
        if "step" not in row and "rung" in row:
            return int(row["rung"])
        self.counts[family] += 1
        if family not in ONE_TRAINING:
            return self.counts[family]
        if row["epoch"] > 0:  # MLflow counts in integers: over steps if rows do not fall on whole epochs
            self._axes.setdefault(family, "epoch" if float(row["epoch"]).is_integer() else "step")
        return round(row[self._axes.get(family, "step")])


def is_number(value: Any) -> bool:
    """Return whether MLflow can keep a value as a metric."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
