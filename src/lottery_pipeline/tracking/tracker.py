"""Tracking: one Kedro run mirrored into one MLflow run, live. If it fails, you get one warning.

Nodes reach the run through ``current()``; outside a tracked run that object does nothing. A failure never
costs a result. MLflow is imported only when a run starts.
"""

import atexit
import logging
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from lottery_pipeline.tracking.store import check_store, close_runs_of_dead_processes

logger = logging.getLogger(__name__)


Status = Literal["FINISHED", "FAILED", "KILLED"]
PARAMETER_LENGTH = 500  # what every MLflow server accepts; the whole text is in parameters.json
TAG_LENGTH = 5000
PARAMETERS_BATCH, METRICS_BATCH = 100, 1000  # MLflow's limits for one request
MOST_WAITING = 100_000  # numbers kept for a server that does not answer
FLUSH_SECONDS = 1.0  # a request takes some 25 ms, which is more than an epoch of a small network
PAUSE_SECONDS = 60.0  # after a failure, so that a dead server cannot slow a run down


class Tracker:
    """One MLflow run. Before ``start`` and after ``finish`` every call does nothing."""

    def __init__(self) -> None:
        self._client: Any = None
        self._run_id = ""
        self._warned = False
        self._paused_until = 0.0
        self._logged: set[tuple[str, int]] = set()
        self._axes: dict[str, str] = {}
        self._waiting: list[tuple[str, float, int, int]] = []
        self._flushed_at = 0.0
        self._previous_handler: Any = None

    @property
    def active(self) -> bool:
        """Whether an MLflow run is open."""
        return self._client is not None

    def start(
        self, *, uri: str, experiment: str, artifacts: Path | None, name: str, tags: Mapping[str, str]
    ) -> None:
        """Open an MLflow run.

        Args:
            uri: tracking store or server.
            experiment: name of the MLflow experiment, made if it does not exist.
            artifacts: folder for the artifacts of a new experiment; None leaves it to the server.
            name: name of the run.
            tags: tags of the run.
        """
        # By default MLflow waits four minutes for a dead server, in every call.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        location = None if artifacts is None else artifacts.as_uri()
        owner = {"process.host": socket.gethostname(), "process.pid": str(os.getpid())}

        def open_run() -> None:
            check_store(uri)
            from mlflow import MlflowClient

            client = MlflowClient(tracking_uri=uri)
            found = client.get_experiment_by_name(experiment)
            identity = found.experiment_id if found else client.create_experiment(experiment, location)
            close_runs_of_dead_processes(client, identity)
            run = client.create_run(identity, run_name=name, tags={**tags, **owner})
            self._client, self._run_id = client, run.info.run_id

        self._logged, self._axes, self._waiting = set(), {}, []
        self._warned, self._paused_until = False, 0.0
        self._attempt(open_run)
        if self.active:
            atexit.register(self.finish, "KILLED")
            self._listen_for_termination()

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Log nested parameters flattened (``ltr.extraction.density``), and whole as ``parameters.json``."""
        flat = [(key, str(value)[:PARAMETER_LENGTH]) for key, value in flatten(parameters)]

        def send() -> None:
            from mlflow.entities import Param

            for begin in range(0, len(flat), PARAMETERS_BATCH):
                chunk = [Param(key, value) for key, value in flat[begin : begin + PARAMETERS_BATCH]]
                self._client.log_batch(self._run_id, params=chunk)
            self._client.log_dict(self._run_id, dict(parameters), "parameters.json")

        self._when_active(send)

    def log_metrics(self, prefix: str, record: Mapping[str, Any], *, step: int = 0) -> None:
        """Log the numbers of a record as metrics ``<prefix>.<key>``."""
        self._enqueue(prefix, record, step)
        self.flush()

    def log_record(self, prefix: str, row: Mapping[str, Any]) -> None:
        """Log one row of a training history as it appears, visible within a second.

        Curves are drawn over epochs, or over steps if rows do not fall on whole epochs: MLflow counts in
        integers.

        Args:
            prefix: name of the training, such as ``ltr.history`` or ``ltr.round_03``.
            row: history row with ``epoch`` and ``step``; a row logged before is skipped.
        """
        place = (prefix, int(row["step"]))
        if place in self._logged or not self.active:
            return
        self._logged.add(place)
        numbers = {key: value for key, value in row.items() if key not in ("epoch", "step", "round", "rung")}
        if row["epoch"] > 0:
            self._axes.setdefault(prefix, "epoch" if float(row["epoch"]).is_integer() else "step")
        self._enqueue(prefix, numbers, round(row[self._axes.get(prefix, "step")]))
        if time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send the waiting numbers; those that cannot be sent keep waiting."""

        def send() -> None:
            from mlflow.entities import Metric

            while self._waiting:
                chunk = self._waiting[:METRICS_BATCH]
                self._client.log_batch(self._run_id, metrics=[Metric(*values) for values in chunk])
                del self._waiting[: len(chunk)]

        if self._waiting:
            self._flushed_at = time.monotonic()
            self._when_active(send)

    def _enqueue(self, prefix: str, record: Mapping[str, Any], step: int) -> None:
        now = int(time.time() * 1000)
        for key, value in record.items():
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if self.active and number and math.isfinite(value) and len(self._waiting) < MOST_WAITING:
                self._waiting.append((f"{prefix}.{key}", float(value), now, step))

    def log_search(self, prefix: str, label: str, row: Mapping[str, Any]) -> None:
        """Log what a search or the controls report: rows of a training, or results by rung.

        Args:
            prefix: the method.
            label: the part, such as ``round_03`` or ``ladder``.
            row: a history row (with ``step``), or a result (with ``rung`` and perhaps ``control``).
        """
        if "step" in row:
            self.log_record(f"{prefix}.{label}", row)
        else:
            self.log_metrics(f"{prefix}.{row.get('control', label)}", row, step=row["rung"])

    def log_history(self, prefix: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Log the rows of a finished history that were not logged live."""
        for row in rows:
            self.log_record(prefix, row)
        self.flush()

    def log_figure(self, figure: Any, path: str) -> None:
        """Log a plotly figure as a page that MLflow shows."""
        self._when_active(lambda: self._client.log_figure(self._run_id, figure, path))

    def log_file(self, file: Path, folder: str) -> None:
        """Log a file as an artifact."""
        self._when_active(lambda: self._client.log_artifact(self._run_id, str(file), folder or None))

    def log_json(self, content: Mapping[str, Any], path: str) -> None:
        """Log a JSON artifact."""
        self._when_active(lambda: self._client.log_dict(self._run_id, dict(content), path))

    def finish(self, status: Status, *, error: BaseException | None = None) -> None:
        """Close the run as it ended; only the first call counts."""
        if not self.active:
            return
        client, self._paused_until = self._client, 0.0
        self.flush()

        def close() -> None:
            if error is not None:
                client.set_tag(self._run_id, "error", f"{type(error).__name__}: {error}"[:TAG_LENGTH])
            client.set_terminated(self._run_id, status=status)

        self._attempt(close)
        self._client = None
        atexit.unregister(self.finish)
        if self._previous_handler is not None:
            signal.signal(signal.SIGTERM, self._previous_handler)
            self._previous_handler = None

    def _when_active(self, send: Callable[[], None]) -> bool:
        return self.active and self._attempt(send)

    def _attempt(self, send: Callable[[], None]) -> bool:
        if time.monotonic() < self._paused_until:
            return False
        try:
            send()
        except Exception as error:
            # Whatever the tracking server does, it must not cost hours of training.
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            if not self._warned:
                self._warned = True
                logger.warning("MLflow tracking failed; the run continues without it: %s", _first_line(error))
            return False
        return True

    def _listen_for_termination(self) -> None:
        """Let SIGTERM end the process as Ctrl-C does, so that the run is closed on the way out."""
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._previous_handler = signal.signal(signal.SIGTERM, _leave)


_tracker = Tracker()


def current() -> Tracker:
    """Return the tracker of the current run; it does nothing outside a tracked run."""
    return _tracker


def flatten(parameters: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Yield ``(dotted key, value)`` of nested mappings; an empty mapping is a value."""
    for key, value in parameters.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping) and value:
            yield from flatten(value, path)
        else:
            yield path, value


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:500]
