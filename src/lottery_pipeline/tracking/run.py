"""One MLflow run: its numbers, which wait for each other to be sent together, and its end."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lottery_pipeline.tracking.connection import Connection, first_line
from lottery_pipeline.tracking.curves import Curves, Point
from lottery_pipeline.tracking.names import clean_name, clean_names, clean_tags
from lottery_pipeline.tracking.passwords import hide_in

MOST_CURVES, MOST_METRICS = 30, 60  # so that a run can be read; what was achieved comes last
MOST_WAITING = 100_000  # numbers kept for a server that does not answer
FLUSH_SECONDS = 1.0  # a request takes some 25 ms, which is more than an epoch of a small network


class MlflowRun:
    """The Kedro run itself, or one of its blocks.

    Attributes:
        identity: of the run in MLflow; "" until MLflow has opened it.
        curves: what was drawn.
        metrics: what was achieved.
        model: identity of the logged model that achieved them.
        images: name and digest of the images on which it did.
        closed: whether it has ended.
    """

    def __init__(self, connection: Connection) -> None:
        self.identity = ""
        self.curves = Curves()
        self.metrics: dict[str, float] = {}
        self.model: str | None = None
        self.images: tuple[str | None, str | None] = (None, None)
        self.closed = False
        self._connection = connection
        self._keys: set[str] = set()
        self._waiting: list[dict[str, Any]] = []  # what a Metric is made of
        self._flushing = False
        self._flushed_at = 0.0

    def open(self, create: Callable[[], str], parameters: Mapping[str, str]) -> None:
        """Open the run in MLflow.

        Args:
            create: returns its identity.
            parameters: it shows.
        """

        def keep() -> None:
            self.identity = create()

        self._connection.do(keep)
        self.log_parameters(parameters)

    def log_parameters(self, parameters: Mapping[str, str]) -> None:
        """Log what the run was told."""
        from mlflow.entities import Param

        pairs = clean_names(hide_in(parameters)).items()
        self._log("params", [Param(name, value) for name, value in pairs])

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Log what identifies the run."""
        from mlflow.entities import RunTag

        self._log("tags", [RunTag(name, value) for name, value in clean_tags(hide_in(tags)).items()])

    def draw(self, part: str, row: Mapping[str, Any]) -> None:
        """Add a row to the curves; it is visible within a second."""
        self._add(self.curves.place(part, row), MOST_CURVES)
        if time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
            self.flush()

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Log what was achieved."""
        self.metrics = {clean_name(name): value for name, value in metrics.items()}
        points = [(name, value, 0) for name, value in metrics.items()]
        self._add(points, MOST_METRICS)
        self.flush()

    def flush(self) -> None:
        """Send the waiting numbers; those that cannot be sent keep waiting."""
        self._flushed_at = time.monotonic()
        if not self._flushing:
            self._flushing = True
            self._connection.do(self._send_numbers)

    def call(self, method: str, *arguments: Any) -> None:
        """Call a method of ``MlflowClient``, such as ``log_figure``, on the run."""
        shown = [hide_in(argument) for argument in arguments]
        self._connection.do(lambda: getattr(self._connection.client, method)(self.identity, *shown))

    def close(self, status: str, error: BaseException | None = None) -> None:
        """Send what waits, and end the run."""
        self.closed = True
        self.flush()
        if error is not None:
            self.log_tags({"error": first_line(error)})
        self._connection.do(lambda: self._connection.client.set_terminated(self.identity, status=status))

    def _log(self, kind: str, entities: list[Any]) -> None:
        if entities:
            self._connection.do(lambda: self._connection.log_batch(self.identity, kind, entities))

    def _send_numbers(self) -> None:
        from mlflow.entities import Metric

        self._flushing = False
        numbers = self._waiting[:]
        achieved: dict[str, Any] = {
            "model_id": self.model,
            "dataset_name": self.images[0],
            "dataset_digest": self.images[1],
        }
        metrics = [
            Metric(**number, **(achieved if number["key"] in self.metrics else {})) for number in numbers
        ]
        self._connection.log_batch(self.identity, "metrics", metrics)
        del self._waiting[: len(numbers)]

    def _add(self, points: Iterable[Point], most: int) -> None:
        now = int(time.time() * 1000)
        for name, value, step in points:
            key = clean_name(name)
            if key not in self._keys and len(self._keys) >= most:
                continue
            self._keys.add(key)
            if len(self._waiting) < MOST_WAITING:
                self._waiting.append({"key": key, "value": value, "timestamp": now, "step": step})
