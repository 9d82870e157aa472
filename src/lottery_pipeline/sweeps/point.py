"""One point of a sweep: an ordinary Kedro run, and the file that says how it ended."""

import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from lottery_pipeline.parameters import to_plain
from lottery_pipeline.reproducibility.locks import HeldError
from lottery_pipeline.sweeps.experiments import BASE, nest
from lottery_pipeline.sweeps.markers import DONE, FAILED, RUNNING, read_marker, write_marker
from lottery_pipeline.sweeps.plan import Point
from lottery_pipeline.sweeps.request import SweepError
from lottery_pipeline.sweeps.results import Row, collect_rows

LOG = "point.log"
PATIENCE_SECONDS = 60.0  # for a process that computed this point and is just being ended


@dataclass(frozen=True)
class Task:
    """A point and all that a process needs to compute it.

    Attributes:
        point: what to compute.
        sweep: name of the sweep.
        project: the project's folder.
        folder: of the point's records.
        attempts: which try this is, from 1.
        environment: variables of the process while it computes the point.
    """

    point: Point
    sweep: str
    project: Path
    folder: Path
    attempts: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)


Marker = dict[str, Any]


def run_point(task: Task) -> Marker:
    """Compute a point, unless that has been done.

    All that its run prints goes into ``point.log`` beside its records. A failure is a result like any other:
    it never raises.

    Returns:
        What ``point.json`` says of it.
    """
    point, began = task.point, time.monotonic()
    if (found := read_marker(task.folder, point.fingerprint)) and found["state"] == DONE:
        return found
    marker: Marker = {
        "sweep": task.sweep,
        "key": point.key,
        "fingerprint": point.fingerprint,
        "state": RUNNING,
        "attempts": task.attempts,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": _now(),
        "ended": None,
        "seconds": None,
        "error": "",
    }
    write_marker(task.folder, marker)
    try:
        with variables_set(task.environment), _output_to(task.folder / LOG):
            rows = _run(task)
        marker |= {"state": DONE, "rows": rows}
    except Exception as error:
        marker |= {"state": FAILED, "error": _word(error)}
    marker |= {"ended": _now(), "seconds": round(time.monotonic() - began, 3)}
    write_marker(task.folder, marker)
    return marker


def _run(task: Task) -> list[Row]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return _run_session(task)
        except Exception as error:
            # A process that was told to end may take a moment to free what it writes.
            if not isinstance(error.__cause__, HeldError) or time.monotonic() > deadline:
                raise
            time.sleep(1.0)


def _run_session(task: Task) -> list[Row]:
    from kedro.framework.project import pipelines
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project
    from kedro.runner import SequentialRunner

    point = task.point
    _check_shared(task)
    bootstrap_project(task.project)
    parameters = nest(point.parameters) | {"variant": point.variant}
    if point.shared:
        parameters["shared"] = point.shared
    env = None if point.experiment == BASE else point.experiment
    session = KedroSession.create(task.project, env=env, runtime_params=parameters)
    with session:
        session.run(pipeline_names=list(point.pipelines), node_names=point.nodes, runner=SequentialRunner())
        given = to_plain(session.load_context().params)
    nodes = [node for name in point.pipelines for node in pipelines[name].nodes]
    blocks = {(node.namespace or "").split(".")[0]: None for node in nodes}
    return collect_rows(task.folder, given, blocks)


def _check_shared(task: Task) -> None:
    """Make sure that images and dense run are those that the plan means, and are there.

    Raises:
        SweepError: they are not.
    """
    point = task.point
    if point.shared:
        marker = read_marker(task.folder.with_name(point.shared), point.parent)
        if marker is None or marker["state"] != DONE:
            key = point.shared.removeprefix(f"{task.sweep}.")
            raise SweepError(
                f"Point {point.key} needs point {key}, which is not done; compute that one first."
            )


def _word(error: BaseException) -> str:
    """Say in one line what went wrong."""
    text = str(error).strip()
    name = "" if isinstance(error, SweepError | click.ClickException) else f"{type(error).__name__}: "
    return f"{name}{text}".replace("\n", " ")[:2000]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def variables_set(changes: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Let all that this process prints go to the end of a file, also what libraries print."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    try:
        with path.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, descriptor in zip(kept, (1, 2), strict=True):
            os.dup2(number, descriptor)
            os.close(number)
