"""One MLflow run: what waits to be sent to it, and what happens when MLflow does not answer."""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lottery_pipeline.tracking.curves import Curves, Point

logger = logging.getLogger(__name__)

MOST_CURVES, MOST_METRICS = 30, 60  # so that a run can be read; what was achieved comes last
MOST_WAITING = 100_000  # numbers kept for a server that does not answer
FLUSH_SECONDS = 1.0  # a request takes some 25 ms, which is more than an epoch of a small network
PAUSE_SECONDS = 60.0  # after a failure, so that a dead server cannot slow a run down


class Connection:
    """MLflow's client for one Kedro run; after a failure it is left alone for a while.

    Attributes:
        lock: held by a call of the tracker, because nodes may run in threads.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._client: Any = None
        self._paused_until = 0.0
        self._warned = False

    @property
    def client(self) -> Any:
        """The ``MlflowClient``; an error that ``without_trouble`` swallows during a pause."""
        if time.monotonic() < self._paused_until:
            raise _PauseError
        return self._client

    @client.setter
    def client(self, client: Any) -> None:
        self._client = client

    def resume(self) -> None:
        """End a pause."""
        self._paused_until = 0.0

    @contextmanager
    def without_trouble(self) -> Iterator[None]:
        """Turn a failure into a warning, the first of the run: it must not cost hours of training."""
        with self.lock:
            try:
                yield
            except _PauseError:
                pass
            except Exception as error:
                self._paused_until = time.monotonic() + PAUSE_SECONDS
                if not self._warned:
                    self._warned = True
                    logger.warning(
                        "MLflow tracking failed; the run continues without it: %s", first_line(error)
                    )


class MlflowRun:
    """The Kedro run itself, or one of its blocks.

    Attributes:
        identity: of the run in MLflow.
        curves: what was drawn.
        metrics: what was achieved.
        model: identity of the logged model that achieved them.
        images: name and digest of the images on which it did.
        closed: whether it has ended.
    """

    def __init__(self, connection: Connection, identity: str) -> None:
        self.identity = identity
        self.curves = Curves()
        self.metrics: dict[str, float] = {}
        self.model: str | None = None
        self.images: tuple[str | None, str | None] = (None, None)
        self.closed = False
        self._connection = connection
        self._keys: set[str] = set()
        self._waiting: deque[tuple[Any, ...]] = deque(maxlen=MOST_WAITING)  # what a Metric is made of
        self._flushed_at = 0.0

    def draw(self, part: str, row: Mapping[str, Any]) -> None:
        """Add a row to the curves; it is visible within a second."""
        self._add(self.curves.place(part, row), MOST_CURVES)
        if time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
            self.flush()

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Log what was achieved."""
        self.metrics = dict(metrics)
        points = [(name, value, 0) for name, value in metrics.items()]
        self._add(points, MOST_METRICS, self.model, *self.images)
        self.flush()

    def flush(self) -> None:
        """Send the waiting numbers; those that cannot be sent keep waiting."""
        from mlflow.entities import Metric

        self._flushed_at = time.monotonic()
        self._connection.client.log_batch(
            self.identity, metrics=[Metric(*metric) for metric in self._waiting]
        )
        self._waiting.clear()

    def close(self, status: str, error: BaseException | None = None) -> None:
        """Send what waits, and end the run."""
        with self._connection.without_trouble():
            self.flush()
            if error is not None:
                self._connection.client.set_tag(self.identity, "error", first_line(error))
            self._connection.client.set_terminated(self.identity, status=status)
            self.closed = True

    def _add(self, points: Iterable[Point], most: int, *source: str | None) -> None:
        now = int(time.time() * 1000)
        for key, value, step in points:
            if key in self._keys or len(self._keys) < most:
                self._keys.add(key)
                self._waiting.append((key, value, now, step, *source))


class _PauseError(Exception):
    pass


def first_line(error: BaseException) -> str:
    """Return kind and first line of an error."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"[:500]
