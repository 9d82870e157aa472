"""Tracking: what MLflow gets, and that its failures do not hurt a run."""

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lottery_pipeline.tracking.tracker import Tracker, current, flatten
from tests.kedro_project import ROOT

ROW = {"epoch": 1, "step": 10, "train_loss": 0.5, "validation_loss": None, "note": "text"}


@pytest.fixture
def uri(mlflow_uri: str) -> str:
    return mlflow_uri


@pytest.fixture
def tracker(uri: str, tmp_path: Path) -> Iterator[Tracker]:
    tracker = Tracker()
    start(tracker, uri, tmp_path)
    yield tracker
    tracker.finish("FINISHED")


def start(tracker: Tracker, uri: str, folder: Path) -> None:
    tracker.start(uri=uri, experiment="tests", artifacts=folder / "mlartifacts", name="run", tags={"a": "b"})


def find_runs(uri: str) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("tests")
    return list(client.search_runs([experiment.experiment_id])) if experiment else []


def curve(uri: str, metric: str) -> list[tuple[int, float]]:
    from mlflow import MlflowClient

    history = MlflowClient(uri).get_metric_history(find_runs(uri)[0].info.run_id, metric)
    return [(point.step, point.value) for point in history]


def test_outside_a_run_nothing_happens() -> None:
    tracker = Tracker()
    tracker.log_record("ltr", ROW)
    tracker.log_parameters({"seed": 0})
    tracker.finish("FINISHED")
    assert not tracker.active
    assert not current().active


def test_nested_parameters_are_flattened() -> None:
    nested = {"ltr": {"extraction": {"density": 0.5, "layer_rates": {}}}, "seed": 0}
    assert dict(flatten(nested)) == {
        "ltr.extraction.density": 0.5,
        "ltr.extraction.layer_rates": {},
        "seed": 0,
    }


def test_a_run_has_parameters_tags_metrics_and_an_end(tracker: Tracker, uri: str, tmp_path: Path) -> None:
    tracker.log_parameters({"ltr": {"extraction": {"density": 0.5}}, "long": "x" * 10_000})
    tracker.log_metrics(
        "ltr", {"test_accuracy": 0.9, "method": "ltr", "layers": [], "dead": True, "bad": 1e999}
    )
    assert find_runs(uri)[0].info.status == "RUNNING"
    tracker.finish("FAILED", error=ValueError("too bad"))
    (run,) = find_runs(uri)
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == "ValueError: too bad"
    assert run.data.tags["a"] == "b"
    assert run.data.params["ltr.extraction.density"] == "0.5"
    assert len(run.data.params["long"]) == 500
    assert run.data.metrics == {"ltr.test_accuracy": 0.9}
    assert list(tmp_path.glob("mlartifacts/**/parameters.json"))


def test_only_the_first_end_counts(tracker: Tracker, uri: str) -> None:
    tracker.finish("FINISHED")
    tracker.finish("KILLED")
    assert find_runs(uri)[0].info.status == "FINISHED"


def test_a_row_is_seen_while_the_training_runs_and_once(tracker: Tracker, uri: str) -> None:
    tracker.log_record("ltr.history", ROW)
    assert curve(uri, "ltr.history.train_loss") == [(1, 0.5)]
    tracker.log_history("ltr.history", [ROW, {**ROW, "epoch": 2, "step": 20, "train_loss": 0.25}])
    assert curve(uri, "ltr.history.train_loss") == [(1, 0.5), (2, 0.25)]
    assert "ltr.history.validation_loss" not in find_runs(uri)[0].data.metrics


def test_quick_rows_are_sent_together_and_none_is_lost(
    tracker: Tracker, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    send = tracker._client.log_batch
    monkeypatch.setattr(tracker._client, "log_batch", lambda *a, **k: (calls.append(1), send(*a, **k)))
    rows = [{"epoch": epoch, "step": epoch, "train_loss": 1.0 / epoch} for epoch in range(1, 1202)]
    for row in rows:
        tracker.log_record("ltr.history", row)
    tracker.finish("FINISHED")
    assert curve(uri, "ltr.history.train_loss") == [(row["epoch"], row["train_loss"]) for row in rows]
    assert len(calls) < 20


def test_what_a_silent_server_did_not_take_is_sent_when_it_answers_again(
    tracker: Tracker, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no answer")

    with monkeypatch.context() as broken:
        broken.setattr(tracker._client, "log_batch", fail)
        tracker.log_record("ltr.history", ROW)
    tracker.finish("FINISHED")
    assert curve(uri, "ltr.history.train_loss") == [(1, 0.5)]


def test_rows_between_epochs_are_drawn_over_steps(tracker: Tracker, uri: str) -> None:
    for step in (500, 1000, 2000):
        tracker.log_record("lth", {"epoch": step / 1000, "step": step, "train_loss": 1.0})
    tracker.flush()
    assert [step for step, _ in curve(uri, "lth.train_loss")] == [500, 1000, 2000]


def test_results_of_a_search_are_drawn_over_rungs(tracker: Tracker, uri: str) -> None:
    tracker.log_search("ltr", "ladder", {"rung": 2, "test_accuracy": 0.8})
    tracker.log_search("ltr", "controls", {"rung": 3, "control": "random_mask", "test_accuracy": 0.7})
    tracker.log_search("ltr", "round_01", ROW)
    tracker.flush()
    assert curve(uri, "ltr.ladder.test_accuracy") == [(2, 0.8)]
    assert curve(uri, "ltr.random_mask.test_accuracy") == [(3, 0.7)]
    assert curve(uri, "ltr.round_01.train_loss") == [(1, 0.5)]


@pytest.mark.parametrize("store", ["http://127.0.0.1:9", "file", "folder"])
def test_a_broken_store_warns_once_and_soon(
    store: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    path = tmp_path / "mlflow.db"
    if store == "file":
        path.write_text("no data base" * 100)
    elif store == "folder":
        path.mkdir()
    tracker, began = Tracker(), time.monotonic()
    with caplog.at_level(logging.WARNING, logger="lottery_pipeline"):
        start(tracker, store if "://" in store else f"sqlite:///{path}", tmp_path)
        tracker.log_metrics("ltr", {"test_accuracy": 0.9})
        tracker.finish("FINISHED")
    assert time.monotonic() - began < 20
    ours = [record for record in caplog.records if record.name == "lottery_pipeline.tracking.tracker"]
    assert len(ours) == 1
    assert "the run continues without it" in ours[0].getMessage()


def test_a_store_that_breaks_on_the_way_warns_once(
    tracker: Tracker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("disk full\nsecond line")

    monkeypatch.setattr(tracker._client, "log_batch", fail)
    with caplog.at_level(logging.WARNING):
        tracker.log_metrics("ltr", {"test_accuracy": 0.9})
        tracker.log_metrics("ltr", {"test_accuracy": 0.9})
    warnings = [record.getMessage() for record in caplog.records if "tracking" in record.name]
    assert warnings == ["MLflow tracking failed; the run continues without it: OSError: disk full"]


def end_by(name: str, uri: str, folder: Path) -> int:
    """Start a run in another process that sends itself a signal; returns its exit status."""
    script = (
        "import os, signal, time\nfrom pathlib import Path\n"
        "from lottery_pipeline.tracking import current\n"
        # A shell that starts the tests in the background has SIGINT ignored, and a child inherits that.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"folder = Path({str(folder)!r})\n"
        f"current().start(uri={uri!r}, experiment='tests', artifacts=folder, name='r', tags={{}})\n"
        f"os.kill(os.getpid(), signal.{name})\ntime.sleep(30)"
    )
    process = [sys.executable, "-c", script]
    return subprocess.run(process, cwd=ROOT, timeout=60, capture_output=True, check=False).returncode


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_killed_process_closes_its_run(name: str, uri: str, tmp_path: Path) -> None:
    assert end_by(name, uri, tmp_path) != 0
    assert find_runs(uri)[0].info.status == "KILLED"


def test_a_run_whose_process_was_killed_outright_is_closed_by_the_next(uri: str, tmp_path: Path) -> None:
    end_by("SIGKILL", uri, tmp_path)
    assert [run.info.status for run in find_runs(uri)] == ["RUNNING"]
    tracker = Tracker()
    start(tracker, uri, tmp_path)
    assert sorted(run.info.status for run in find_runs(uri)) == ["KILLED", "RUNNING"]
    tracker.finish("FINISHED")
