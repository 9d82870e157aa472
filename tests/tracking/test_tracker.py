"""The tree of runs in MLflow, live; and that its failures do not hurt a run."""

import logging
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lottery_pipeline.tracking.tracker import Tracker, current
from tests.kedro_project import ROOT
from tests.tiny import draw_images
from tests.tracking.runs import curve, find_runs, list_artifacts, start

ROW = {"epoch": 1, "step": 10, "train_loss": 0.5, "validation_loss": None}
METRICS = {"method": "ltr", "fingerprint": "f", "test_accuracy": 0.9, "density": 0.1, "seed": 0}
LADDER = [{"rung": 0, "test_accuracy": 0.8, "note": "dense"}]
RECORD = {"metrics": METRICS, "history": [ROW], "ladder_table": LADDER}


@pytest.fixture
def tracker(mlflow_uri: str, tmp_path: Path) -> Iterator[Tracker]:
    tracker = Tracker()
    start(tracker, mlflow_uri, tmp_path)
    yield tracker
    tracker.finish("FINISHED")


def break_client(patch: pytest.MonkeyPatch, tracker: Tracker, *methods: str) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("disk full\nsecond line")

    for method in methods:
        patch.setattr(tracker.connection.client, method, fail)


def read_warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "lottery_pipeline.tracking" in record.name]


def test_outside_a_run_nothing_happens() -> None:
    tracker = Tracker()
    tracker.log_row("ltr", "training", ROW)
    tracker.note_reuse("images", "f")
    tracker.finish("FINISHED")
    assert not tracker.active
    assert tracker.page == ""
    assert not current().active


def test_a_run_has_tags_parameters_and_an_end(tracker: Tracker, mlflow_uri: str) -> None:
    assert find_runs(mlflow_uri)["run"].info.status == "RUNNING"
    tracker.finish("FAILED", error=ValueError("too bad"))
    run = find_runs(mlflow_uri)["run"]
    assert (run.info.status, run.data.tags["error"], run.data.tags["a"]) == (
        "FAILED",
        "ValueError: too bad",
        "b",
    )
    assert run.data.params == {"seed": "0"}


def test_only_the_first_end_counts(tracker: Tracker, mlflow_uri: str) -> None:
    tracker.finish("FINISHED")
    tracker.finish("KILLED")
    assert find_runs(mlflow_uri)["run"].info.status == "FINISHED"


def test_the_run_is_known_by_its_identity_until_its_end(tracker: Tracker, mlflow_uri: str) -> None:
    assert tracker.identity == find_runs(mlflow_uri)["run"].info.run_id
    tracker.finish("FINISHED")
    assert tracker.identity == ""


def test_the_end_tells_the_page(tracker: Tracker, caplog: pytest.LogCaptureFixture) -> None:
    page = tracker.page
    assert page.startswith("http://127.0.0.1:5000/#/experiments/")
    with caplog.at_level(logging.INFO, logger="lottery_pipeline.tracking"):
        tracker.finish("FINISHED")
    assert read_warnings(caplog) == [f"MLflow: {page} after `make mlflow`"]
    assert tracker.page == ""


def test_a_block_is_a_run_within_the_run_and_ends_with_its_record(tracker: Tracker, mlflow_uri: str) -> None:
    from mlflow.artifacts import load_dict

    tracker.open_block("ltr", {"extraction.density": "0.1"})
    tracker.open_block("ltr", {"extraction.density": "0.2"})  # the second node of the block
    assert find_runs(mlflow_uri)["ltr"].info.status == "RUNNING"
    tracker.log_record("ltr", RECORD)
    runs = find_runs(mlflow_uri)
    ltr, parent = runs["ltr"], runs["run"]
    assert (ltr.info.status, parent.info.status, len(runs)) == ("FINISHED", "RUNNING", 2)
    assert ltr.data.tags["mlflow.parentRunId"] == parent.info.run_id
    tags = {name: ltr.data.tags[name] for name in ("a", "method", "chain", "fingerprint", "made.ltr")}
    assert tags == {"a": "b", "method": "ltr", "chain": "ltr", "fingerprint": "f", "made.ltr": "f"}
    assert ltr.data.params == {"extraction.density": "0.1", "seed": "0"}
    assert ltr.data.metrics["test_accuracy"] == 0.9
    assert list_artifacts(mlflow_uri, "ltr") == {"tables/ladder.json"}
    table = load_dict(f"{ltr.info.artifact_uri}/tables/ladder.json")
    assert [dict(zip(table["columns"], row, strict=True)) for row in table["data"]] == LADDER


def test_the_record_of_the_dense_run_belongs_to_the_run_itself(tracker: Tracker, mlflow_uri: str) -> None:
    tracker.log_record("", {"metrics": {"test_accuracy": 0.9}, "history": [ROW]})
    run = find_runs(mlflow_uri)["run"]
    assert run.data.metrics == {"dense_accuracy": 0.9, "dense/train_loss": 0.5}
    assert run.info.status == "RUNNING"


def test_a_row_is_seen_while_the_training_runs_and_once(tracker: Tracker, mlflow_uri: str) -> None:
    tracker.open_block("ltr", {})
    tracker.log_row("ltr", "training", ROW)
    assert curve(mlflow_uri, "ltr", "training/train_loss") == [(1, 0.5)]
    second = {**ROW, "epoch": 2, "step": 20, "train_loss": 0.25}
    tracker.log_record("ltr", {**RECORD, "history": [ROW, second]})
    assert curve(mlflow_uri, "ltr", "training/train_loss") == [(1, 0.5), (2, 0.25)]


@pytest.mark.parametrize("live", [True, False])
def test_a_search_is_drawn_once_whether_it_was_seen_live_or_not(
    live: bool, tracker: Tracker, mlflow_uri: str
) -> None:
    tracker.open_block("cts", {})
    trace = [{"step": step, "objective": 1 / step} for step in (1, 2)]
    for row in trace if live else []:
        tracker.log_row("cts", "search", row)
    tracker.log_record("cts", {**RECORD, "trace": trace})
    assert curve(mlflow_uri, "cts", "search/objective") == [(1, 1.0), (2, 0.5)]


def test_rows_of_a_block_without_a_run_are_left_out(tracker: Tracker, mlflow_uri: str) -> None:
    tracker.log_row("layer", "fine_tuning_01", ROW)
    tracker.finish("FINISHED")
    assert {name: run.data.metrics for name, run in find_runs(mlflow_uri).items()} == {"run": {}}


def test_a_run_has_at_most_sixty_metrics_and_all_that_was_achieved(tracker: Tracker, mlflow_uri: str) -> None:
    tracker.open_block("ltr", {})
    for number in range(25):
        part = f"round_{number}"
        tracker.log_row("ltr", part, {**ROW, **{f"{part}_{column}": 1.0 for column in range(9)}})
    achieved = {f"latency_ms_{batch}": 1.0 for batch in range(40)}
    tracker.log_record("ltr", {**RECORD, "metrics": {**METRICS, **achieved}})
    metrics = find_runs(mlflow_uri)["ltr"].data.metrics
    assert len(metrics) == 60
    assert "test_accuracy" in metrics


def test_quick_rows_are_sent_together_and_none_is_lost(
    tracker: Tracker, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []
    client = tracker.connection.client
    send = client.log_batch
    monkeypatch.setattr(
        client, "log_batch", lambda run, metrics: (sent.append(len(metrics)), send(run, metrics=metrics))
    )
    rows = [{"epoch": epoch, "step": epoch, "train_loss": 1.0 / epoch} for epoch in range(1, 1202)]
    for row in rows:
        tracker.log_row("", "dense", row)
    tracker.finish("FINISHED")
    assert curve(mlflow_uri, "run", "dense/train_loss") == [(row["epoch"], row["train_loss"]) for row in rows]
    assert (sum(sent), len(sent) < 20) == (1201, True)


def test_threads_call_mlflow_one_after_the_other_and_all_rows_arrive(
    tracker: Tracker, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, together = [], []
    send = tracker.connection.client.log_batch

    def send_slowly(*arguments: Any, **named: Any) -> None:
        inside.append(1)
        together.append(len(inside))
        time.sleep(0.02)
        send(*arguments, **named)
        inside.pop()

    def train(block: str) -> None:
        tracker.open_block(block, {})
        for epoch in range(1, 51):
            tracker.log_row(block, "training", {"epoch": epoch, "step": epoch, "train_loss": 1.0})
        tracker.log_record(block, {"metrics": METRICS, "history": []})

    monkeypatch.setattr(tracker.connection.client, "log_batch", send_slowly)
    threads = [threading.Thread(target=train, args=[block]) for block in ("ltr", "cts", "snip")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(together) == 1
    counts = [len(curve(mlflow_uri, block, "training/train_loss")) for block in ("ltr", "cts", "snip")]
    assert counts == [50, 50, 50]


def test_a_forked_worker_logs_nothing(
    tracker: Tracker, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as worker:
        worker.setattr(os, "getpid", lambda: -1)
        tracker.open_block("ltr", {})
        tracker.finish("FAILED")
    assert {name: run.info.status for name, run in find_runs(mlflow_uri).items()} == {"run": "RUNNING"}


def test_the_images_are_an_input_of_the_run_and_of_its_blocks(tracker: Tracker, mlflow_uri: str) -> None:
    images = draw_images()
    tracker.note_images(images)
    tracker.open_block("ltr", {})
    for run in find_runs(mlflow_uri).values():
        (entry,) = run.inputs.dataset_inputs
        assert (entry.dataset.name, entry.dataset.digest) == ("tiny", images.fingerprint[:36])
        assert f'"fingerprint": "{images.fingerprint}"' in entry.dataset.profile
        assert [(tag.key, tag.value) for tag in entry.tags] == [("mlflow.data.context", "training")]


def test_a_reused_result_links_to_the_run_that_made_it(
    tracker: Tracker, mlflow_uri: str, tmp_path: Path
) -> None:
    tracker.note_made("dense_run", "f1")
    tracker.finish("FINISHED")
    maker = find_runs(mlflow_uri)["run"]
    start(tracker, mlflow_uri, tmp_path)
    for name, fingerprint in (("dense_run", "f1"), ("images", "unknown")):
        tracker.note_reuse(name, fingerprint)
        tracker.note_made(name, fingerprint)  # it is saved again
    tags = find_runs(mlflow_uri)["run"].data.tags
    assert tags["reused.dense_run"] == maker.info.run_id
    place = f"#/experiments/{maker.info.experiment_id}/runs/{maker.info.run_id}"
    assert tags["mlflow.note.content"] == f"- dense_run was made by [run]({place})\n"
    assert not {"made.dense_run", "made.images", "reused.images"} & tags.keys()


def test_a_failure_ends_the_open_block_too_and_leaves_the_finished_one(
    tracker: Tracker, mlflow_uri: str
) -> None:
    tracker.open_block("ltr", {})
    tracker.log_record("ltr", RECORD)
    tracker.open_block("cts", {})
    tracker.finish("FAILED", error=ValueError("too bad"))
    runs = find_runs(mlflow_uri)
    assert {name: run.info.status for name, run in runs.items()} == {
        "run": "FAILED",
        "ltr": "FINISHED",
        "cts": "FAILED",
    }
    assert "error" not in runs["ltr"].data.tags
    assert runs["cts"].info.end_time <= runs["run"].info.end_time


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
    with caplog.at_level(logging.INFO, logger="lottery_pipeline"):
        start(tracker, store if "://" in store else f"sqlite:///{path}", tmp_path)
        tracker.open_block("ltr", {})
        tracker.log_record("ltr", RECORD)
        tracker.finish("FINISHED")
    assert time.monotonic() - began < 20
    (warning,) = read_warnings(caplog)
    assert "the run continues without it" in warning


def test_a_store_that_breaks_on_the_way_warns_once(
    tracker: Tracker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        break_client(patch, tracker, "log_batch", "set_tag")
        tracker.log_row("", "dense", ROW)
        tracker.note_made("images", "f")
        tracker.connection.try_again()
        tracker.note_made("images", "f")
        warnings = read_warnings(caplog)
    assert warnings == ["MLflow tracking failed; the run continues without it: OSError: disk full"]


def test_names_of_any_kind_reach_mlflow_and_one_refusal_does_not_cost_the_others(
    tracker: Tracker, mlflow_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["layer_rates.0: fc1", "layer_rates.fc[12]*", "a//b", "../x", "ü 重", "x" * 600, "same(", "same)"]
    parameters = {name: str(number) for number, name in enumerate(names)}
    tracker.open_block("ltr", {"long": "y" * 7000, **parameters})
    run = find_runs(mlflow_uri)["ltr"]
    assert sorted(run.data.params.values())[: len(names)] == sorted(parameters.values())
    assert len(run.data.params) == 1 + len(names)
    assert read_warnings(caplog) == []
    tracker._runs["ltr"].log_parameters({"a": "1"})
    with caplog.at_level(logging.WARNING):
        tracker._runs["ltr"].log_parameters({"a": "2", "b": "3"})  # MLflow keeps the first value
    assert len(read_warnings(caplog)) == 1
    assert find_runs(mlflow_uri)["ltr"].data.params.items() >= {"a": "1", "b": "3"}.items()


def test_artifacts_that_cannot_be_written_do_not_cost_the_numbers(
    tracker: Tracker, mlflow_uri: str, tmp_path: Path
) -> None:
    (tmp_path / "mlartifacts").write_text("a file where the folder should be")
    tracker.open_block("ltr", {})
    tracker.send("ltr", "log_text", "text", "a.txt")
    tracker.log_record("ltr", RECORD)
    assert find_runs(mlflow_uri)["ltr"].data.metrics["test_accuracy"] == 0.9
    (tmp_path / "mlartifacts").unlink()
    tracker.finish("FINISHED")
    assert list_artifacts(mlflow_uri, "ltr") == {"a.txt", "tables/ladder.json"}


def test_a_store_that_comes_while_the_run_lasts_gets_all_of_it(
    empty_mlflow_store: Path, tmp_path: Path
) -> None:
    (tmp_path / "mlflow.db").write_text("no data base" * 100)
    uri, tracker = f"sqlite:///{tmp_path / 'mlflow.db'}", Tracker()
    start(tracker, uri, tmp_path)
    tracker.open_block("ltr", {"extraction.density": "0.1"})
    tracker.log_row("ltr", "training", ROW)
    tracker.log_record("ltr", RECORD)
    (tmp_path / "mlflow.db").write_bytes(empty_mlflow_store.read_bytes())
    tracker.finish("FINISHED")
    assert read_statuses(uri) == {"run": "FINISHED", "ltr": "FINISHED"}
    ltr = find_runs(uri)["ltr"].data
    assert (ltr.params["extraction.density"], ltr.metrics["test_accuracy"]) == ("0.1", 0.9)


def test_a_store_that_another_process_has_locked_costs_less_than_five_seconds(
    impatient: None, tracker: Tracker, tmp_path: Path
) -> None:
    lock = sqlite3.connect(tmp_path / "mlflow.db")
    lock.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    tracker.open_block("ltr", {})
    tracker.log_record("ltr", RECORD)
    tracker.finish("FINISHED")
    assert time.monotonic() - began < 5
    lock.close()


def test_numbers_that_a_silent_server_did_not_take_are_sent_when_it_answers_again(
    tracker: Tracker, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker.open_block("ltr", {})
    with monkeypatch.context() as patch:
        break_client(patch, tracker, "log_batch")
        tracker.log_row("ltr", "training", ROW)
    tracker.log_record("ltr", RECORD)  # in the pause
    tracker.finish("FINISHED")
    ltr = find_runs(mlflow_uri)["ltr"]
    assert curve(mlflow_uri, "ltr", "training/train_loss") == [(1, 0.5)]
    assert (ltr.data.metrics["test_accuracy"], ltr.info.status) == (0.9, "FINISHED")


def test_a_record_that_cannot_be_understood_warns(tracker: Tracker, caplog: pytest.LogCaptureFixture) -> None:
    tracker.open_block("ltr", {})
    with caplog.at_level(logging.WARNING):
        tracker.log_record("ltr", {"metrics": 3})
    assert len(read_warnings(caplog)) == 1


def end_by(name: str, uri: str, folder: Path) -> int:
    """Start a run with a block in another process that sends itself a signal; returns its exit status."""
    script = (
        "import os, signal, time\nfrom pathlib import Path\n"
        "from lottery_pipeline.tracking import current\nfrom tests.tracking.runs import start\n"
        # A shell that starts the tests in the background has SIGINT ignored, and a child inherits that.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"start(current(), {uri!r}, Path({str(folder)!r}))\ncurrent().open_block('ltr', {{}})\n"
        f"os.kill(os.getpid(), signal.{name})\ntime.sleep(30)"
    )
    process = [sys.executable, "-c", script]
    return subprocess.run(process, cwd=ROOT, timeout=60, capture_output=True, check=False).returncode


def read_statuses(uri: str) -> dict[str, str]:
    return {name: run.info.status for name, run in find_runs(uri).items()}


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_killed_process_closes_its_runs(name: str, mlflow_uri: str, tmp_path: Path) -> None:
    assert end_by(name, mlflow_uri, tmp_path) != 0
    assert read_statuses(mlflow_uri) == {"run": "KILLED", "ltr": "KILLED"}


def test_runs_whose_process_was_killed_outright_are_closed_by_the_next_the_parent_last(
    mlflow_uri: str, tmp_path: Path
) -> None:
    end_by("SIGKILL", mlflow_uri, tmp_path)
    assert read_statuses(mlflow_uri) == {"run": "RUNNING", "ltr": "RUNNING"}
    left = find_runs(mlflow_uri)["run"].info.run_id
    tracker = Tracker()
    start(tracker, mlflow_uri, tmp_path)
    assert read_statuses(mlflow_uri) == {"run": "RUNNING", "ltr": "KILLED"}
    old = tracker.connection.client.get_run(left)
    assert old.info.status == "KILLED"
    assert find_runs(mlflow_uri)["ltr"].info.end_time <= old.info.end_time
    tracker.finish("FINISHED")
