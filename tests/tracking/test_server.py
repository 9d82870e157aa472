"""A real MLflow server that freezes, or is killed and comes back."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lottery_pipeline.tracking.tracker import Tracker
from tests.tracking.runs import curve, find_runs, start

ROW = {"epoch": 1, "step": 10, "train_loss": 0.5}
RECORD = {"metrics": {"test_accuracy": 0.9, "density": 0.1}, "history": [ROW]}

pytestmark = pytest.mark.slow


class Server:
    """``mlflow server`` on a port of this machine."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri, self.folder = f"http://127.0.0.1:{self.port}", folder

    def start(self) -> None:
        store = f"sqlite:///{self.folder / 'mlflow.db'}"
        options = ["--backend-store-uri", store, "--port", str(self.port), "--workers", "1"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *options],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.2)
            else:
                find_runs(self.uri)
                return
        raise TimeoutError("the server does not start")

    def send(self, signal_number: int) -> None:
        os.killpg(self.process.pid, signal_number)

    def stop(self) -> None:
        self.send(signal.SIGCONT)
        self.send(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(mlflow_uri: str, tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    server.stop()


def track(tracker: Tracker) -> None:
    import plotly.graph_objects as go

    for block in ("ltr", "cts", "snip"):
        tracker.open_block(block, {"extraction.density": "0.1"})
        tracker.log_row(block, "training", ROW)
        tracker.send(block, "log_figure", go.Figure(), "figures/a.html")
        tracker.send(block, "log_dict", {"a": 1}, "a.json")
        tracker.log_record(block, RECORD)


@pytest.mark.parametrize("frozen_at", ["start", "the first block", "the end"])
def test_a_frozen_server_costs_a_run_less_than_five_seconds(
    frozen_at: str, server: Server, tmp_path: Path, impatient: None
) -> None:
    tracker = Tracker()
    steps: list[tuple[str, Any]] = [
        ("start", lambda: start(tracker, server.uri, tmp_path)),
        ("the first block", lambda: track(tracker)),
        ("the end", lambda: tracker.finish("FINISHED")),
    ]
    seconds, frozen = 0.0, False
    for name, step in steps:
        if name == frozen_at:
            server.send(signal.SIGSTOP)
            frozen = True
        began = time.monotonic()
        step()
        seconds += frozen * (time.monotonic() - began)
    assert seconds < 5


def test_a_server_that_is_killed_and_comes_back_has_the_whole_run(server: Server, tmp_path: Path) -> None:
    tracker = Tracker()
    start(tracker, server.uri, tmp_path)
    server.stop()
    track(tracker)
    server.start()
    tracker.finish("FINISHED")
    runs = find_runs(server.uri)
    assert {name: run.info.status for name, run in runs.items()} == dict.fromkeys(
        ("run", "ltr", "cts", "snip"), "FINISHED"
    )
    for block in ("ltr", "cts", "snip"):
        assert runs[block].data.params["extraction.density"] == "0.1"
        assert runs[block].data.metrics["test_accuracy"] == 0.9
        assert curve(server.uri, block, "training/train_loss") == [(1, 0.5)]


def test_a_server_that_thaws_during_the_run_has_the_whole_run_once(
    server: Server, tmp_path: Path, impatient: None
) -> None:
    tracker = Tracker()
    start(tracker, server.uri, tmp_path)
    server.send(signal.SIGSTOP)
    track(tracker)
    server.send(signal.SIGCONT)
    tracker.finish("FINISHED")
    from mlflow import MlflowClient

    client = MlflowClient(server.uri)
    experiment = client.get_experiment_by_name("tests")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(str(run.info.run_name) for run in runs) == ["cts", "ltr", "run", "snip"]
    assert {run.info.status for run in runs} == {"FINISHED"}
