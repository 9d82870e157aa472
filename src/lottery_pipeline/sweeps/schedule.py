"""The course of a sweep: what is shared first, then the points; failures are tried again, and told."""

from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

from lottery_pipeline.sweeps.engines import Engine
from lottery_pipeline.sweeps.markers import DONE, FAILED, RUNNING, write_marker
from lottery_pipeline.sweeps.plan import Plan, Point
from lottery_pipeline.sweeps.point import Marker, Task
from lottery_pipeline.sweeps.progress import Progress

_EXTRA_IN_FLIGHT = 2  # points that wait at the engine, so that no worker waits for us


def make_task(plan: Plan, point: Point, project: Path, **details: Any) -> Task:
    """Return what a process needs to compute a point of a plan."""
    folder = plan.folder_of(point.experiment, point.variant)
    return Task(point=point, sweep=plan.sweep, project=project, folder=folder, **details)


class Schedule:
    """Gives the points of a plan to an engine, in order and no more than it can use.

    Args:
        plan: of the sweep.
        engine: computes points.
        progress: is told of each.
        project: the project's folder.
        retries: how often a failed point is tried again.
        environment: variables of every point.

    Attributes:
        failures: the last words of every point that failed for good, by key.
        computed: number of points computed, retries not counted.
    """

    def __init__(
        self,
        plan: Plan,
        engine: Engine,
        progress: Progress,
        *,
        project: Path,
        retries: int = 1,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._plan, self._engine, self._progress = plan, engine, progress
        self._project, self._retries = project, retries
        self._environment = dict(environment or {})
        self._ready: deque[tuple[Point, int]] = deque()
        self._blocked: dict[str, list[Point]] = {}  # by variant of what they share
        self._in_flight: dict[Future[Marker], tuple[Point, int]] = {}
        self.failures: dict[str, str] = {}
        self.computed = 0

    def run(self) -> None:
        """Compute all that is not done; returns when every point is done or has failed for good."""
        self._sort(self._plan.points)
        while self._ready or self._in_flight:
            while self._ready and len(self._in_flight) < self._engine.slots + _EXTRA_IN_FLIGHT:
                self._submit(*self._ready.popleft())
            done, _ = wait(self._in_flight, return_when=FIRST_COMPLETED)
            for future in done:
                self._end(future, *self._in_flight.pop(future))

    def _sort(self, points: Iterable[Point]) -> None:
        """Skip what is done; what waits for images and a dense run is blocked until these are there."""
        shared = {point.variant: point for point in self._plan.shared}
        wanted: dict[str, list[Point]] = {}
        for point in points:
            if marker := self._find_done(point):
                self._progress.note(point, DONE, marker, fresh=False)
            else:
                wanted.setdefault(point.shared, []).append(point)
        for variant, parent in shared.items():
            marker = self._find_done(parent)
            if marker or variant not in wanted:  # nothing needs it any more
                self._progress.note(parent, DONE, marker, fresh=False)
                self._ready.extend((point, 1) for point in wanted.pop(variant, ()))
            else:
                self._blocked[variant] = wanted.pop(variant)
        self._ready.extend((point, 1) for point in wanted.pop("", ()))
        self._ready.extendleft((shared[variant], 1) for variant in reversed(self._blocked))

    def _find_done(self, point: Point) -> Marker | None:
        marker = self._plan.find_marker(point)
        return marker if marker and marker["state"] == DONE else None

    def _folder_of(self, point: Point) -> Path:
        return self._plan.folder_of(point.experiment, point.variant)

    def _submit(self, point: Point, attempt: int) -> None:
        task = make_task(self._plan, point, self._project, attempts=attempt, environment=self._environment)
        self._progress.note(point, RUNNING)
        self._in_flight[self._engine.submit(task)] = (point, attempt)

    def _end(self, future: "Future[Marker]", point: Point, attempt: int) -> None:
        try:
            marker = future.result()
        except Exception as error:  # the process is dead: the system killed it, or it had no memory left
            marker = self._mark_dead(
                point, attempt, f"its process has died ({type(error).__name__}: {error})"
            )
        if marker["state"] == DONE:
            self.computed += 1
            self._progress.note(point, DONE, marker)
            self._ready.extend((child, 1) for child in self._blocked.pop(point.variant, ()))
        elif attempt <= self._retries:
            self._ready.append((point, attempt + 1))
        else:
            self.computed += 1
            self._fail(point, marker)
            for child in self._blocked.pop(point.variant, ()):
                reason = f"its images and dense run could not be made: {marker['error']}"
                self._fail(child, self._mark_dead(child, 0, reason))

    def _fail(self, point: Point, marker: Marker) -> None:
        self.failures[point.key] = marker["error"]
        self._progress.note(point, FAILED, marker)

    def _mark_dead(self, point: Point, attempts: int, error: str) -> Marker:
        marker = {
            "sweep": self._plan.sweep,
            "key": point.key,
            "fingerprint": point.fingerprint,
            "state": FAILED,
            "attempts": attempts,
            "error": error.replace("\n", " "),
            "seconds": None,
        }
        write_marker(self._folder_of(point), marker)
        return marker
