"""What a sweep shows while it runs: a table on a terminal, and else a line for each point."""

import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.sweeps.markers import DONE, FAILED, RUNNING
from lottery_pipeline.sweeps.plan import Plan, Point

if TYPE_CHECKING:
    from lottery_pipeline.sweeps.point import Marker

WAITING = "waiting"
_MOST_ROWS = 24
_ORDER = {RUNNING: 0, FAILED: 1, DONE: 2, WAITING: 3}
_OPEN = (WAITING, RUNNING)


@dataclass
class Sum:
    """Points and their planned epochs.

    Attributes:
        number: of points.
        unknown: those among them that plan no epochs, or whose epochs nobody knows.
        epochs: of the others.
    """

    number: int = 0
    unknown: int = 0
    epochs: float = 0.0

    def add(self, epochs: float | None, sign: int = 1) -> None:
        """Add a point, or take one away."""
        self.number += sign
        self.unknown += 0 if epochs else sign
        self.epochs += sign * (epochs or 0.0)


class Progress:
    """Follows the points of a plan.

    Args:
        plan: of the sweep.
        console: where it is shown.
        workers: points that are computed at once.
    """

    def __init__(self, plan: Plan, *, workers: int, console: Console | None = None) -> None:
        self._points = {point.variant: point for point in (*plan.shared, *plan.points)}
        self._states = dict.fromkeys(self._points, WAITING)
        self._found: dict[str, Marker] = {}
        self._order: list[str] = []  # of ends
        self._workers = workers
        self._began = time.monotonic()
        # Sums, because ten thousand points would be counted ten thousand times.
        self._count = Counter(self._states.values())
        self._weights = {name: _weigh(point) for name, point in self._points.items()}
        self._left = Sum()
        for weight in self._weights.values():
            self._left.add(weight)
        self._spent = Sum()  # epochs of what was computed now
        self._seconds = 0.0  # that this took
        self._console = console or Console(file=sys.stdout)
        self._live: Live | None = None
        if self._console.is_terminal:
            self._live = Live(get_renderable=self._draw, console=self._console, refresh_per_second=2)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        if self._live is not None:
            self._live.__exit__(*raised)

    def note(self, point: Point, state: str, marker: "Marker | None" = None, *, fresh: bool = True) -> None:
        """Note that a point has begun or ended.

        Args:
            point: of the plan.
            state: it is in now.
            marker: what it has left.
            fresh: whether it was computed now, and not in an earlier start of the sweep.
        """
        before, self._states[point.variant] = self._states[point.variant], state
        self._count[before] -= 1
        self._count[state] += 1
        if (before in _OPEN) != (state in _OPEN):
            self._left.add(self._weights[point.variant], 1 if state in _OPEN else -1)
        if marker is None:
            return
        self._found[point.variant] = marker
        self._order.append(point.variant)
        if fresh and marker["seconds"] is not None:
            self._spent.add(self._weights[point.variant])
            self._seconds += marker["seconds"]
        if fresh and self._live is None:
            self._console.print(
                self._describe_end(point, state), markup=False, highlight=False, soft_wrap=True
            )

    def count(self) -> Counter[str]:
        """Return how many points are in each state."""
        return +self._count

    def estimate_seconds(self) -> float | None:
        """Return the time that is left, from the seconds of an epoch so far; None before the first end."""
        if not self._spent.number or not self._left.number:
            return None if self._left.number else 0.0
        if self._spent.unknown or self._left.unknown:
            work = self._seconds / self._spent.number * self._left.number
        else:
            work = self._seconds / self._spent.epochs * self._left.epochs
        return work / min(self._workers, self._left.number)

    def _describe_end(self, point: Point, state: str) -> str:
        marker, count = self._found[point.variant], self.count()
        ended = count[DONE] + count[FAILED]
        what = marker["error"] if state == FAILED else describe_best(marker.get("rows", ()))
        parts = [state, describe_time(marker["seconds"]), what]
        left = self.estimate_seconds()
        rest = f"; about {describe_time(left)} left" if left else ""
        return f"[{ended}/{len(self._states)}] {point.key}: {', '.join(filter(None, parts))}{rest}"

    def _draw(self) -> Group:
        count = self.count()
        left = self.estimate_seconds()
        states = ", ".join(f"{count[state]} {state}" for state in _ORDER if count[state])
        title = f"{states}; {describe_time(time.monotonic() - self._began)} so far"
        title += f", about {describe_time(left)} left" if left else ""
        table = Table(box=None, pad_edge=False)
        for column in ("point", "state", "time", "result"):
            table.add_column(column, no_wrap=column != "result", overflow="ellipsis")
        for name in self._choose_rows():
            state, marker = self._states[name], self._found.get(name, {})
            result = marker.get("error", "") if state == FAILED else describe_best(marker.get("rows", ()))
            seconds = marker.get("seconds") if state in (DONE, FAILED) else None
            table.add_row(self._points[name].key, state, describe_time(seconds) if seconds else "", result)
        return Group(table, Text(title))

    def _choose_rows(self) -> list[str]:
        """Return what runs, what failed, and then the best."""

        def place(name: str) -> tuple[int, float]:
            return _ORDER[self._states[name]], -(_best(self._found.get(name, {}).get("rows", ())) or 0.0)

        return sorted(self._states, key=place)[:_MOST_ROWS]


def describe_best(rows: Iterable[dict[str, Any]]) -> str:
    """Return the best test accuracy among rows in percent; empty if none has one."""
    best = _best(rows)
    return "" if best is None else f"{100 * best:.2f} %"


def describe_time(seconds: float | None) -> str:
    """Return a time as people say it."""
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{write_number(round(seconds / 3600, 1))} h"


def _best(rows: Iterable[dict[str, Any]]) -> float | None:
    found = [row["test_accuracy"] for row in rows if row.get("kind") == "ticket" and row.get("test_accuracy")]
    return max(found, default=None)


def _weigh(point: Point) -> float | None:
    parts = [point.epochs.get(part) for part in ("search", "train")]
    return None if None in parts else sum(part for part in parts if part)
