"""The run of a sweep, and processes that all start at once where there is no store."""

import os
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from benchmarks.speed.first_start import count_finished
from lottery_pipeline.tracking.store import TrackingSettings
from lottery_pipeline.tracking.sweep import PARENT_RUN, SWEEP_RUN, SweepRun


def open_run(uri: str, project: Path, **options: Any) -> SweepRun:
    settings = TrackingSettings(tracking_uri=uri, experiment="tests", enabled=options.pop("enabled", True))
    given = {"tracking": "each", "name": "test/mine", "tags": {"sweep": "mine"}, **options}
    return SweepRun(settings, project, **given)


def test_points_learn_which_run_is_theirs(mlflow_uri: str, tmp_path: Path) -> None:
    run = open_run(mlflow_uri, tmp_path)
    assert run.environment == {PARENT_RUN: run.identity}
    assert run.own_environment == {SWEEP_RUN: run.identity}
    run.finish("FINISHED")
    alone = open_run(mlflow_uri, tmp_path, tracking="parent")
    assert alone.environment == {"LOTTERY_TRACKING": "false"}
    alone.finish("FINISHED")
    off = open_run(mlflow_uri, tmp_path, enabled=False)
    assert (off.tracking, off.identity, off.own_environment) == ("off", "", {})
    assert off.environment == {"LOTTERY_TRACKING": "false"}


def test_a_sweep_that_resumes_has_the_same_run(mlflow_uri: str, tmp_path: Path) -> None:
    first = open_run(mlflow_uri, tmp_path)
    first.finish("KILLED")
    client = MlflowClient(mlflow_uri)
    client.set_tag(first.identity, "process.pid", "0")
    second = open_run(mlflow_uri, tmp_path, previous=first.identity, tags={"sweep": "other"})
    assert second.identity == first.identity
    run = client.get_run(first.identity)
    assert (run.info.status, run.data.tags["process.pid"]) == ("RUNNING", str(os.getpid()))
    assert (run.data.tags["sweep"], run.data.tags["mlflow.source.name"]) == ("other", "kedro sweep mine")
    second.finish("FINISHED")
    assert client.get_run(first.identity).info.status == "FINISHED"


def test_a_run_that_mlflow_has_lost_is_replaced(mlflow_uri: str, tmp_path: Path) -> None:
    run = open_run(mlflow_uri, tmp_path, previous="0" * 32)
    assert run.identity not in ("", "0" * 32)
    run.finish("FINISHED")


@pytest.mark.slow
def test_ten_processes_that_start_at_once_without_a_store_lose_no_run(tmp_path: Path) -> None:
    assert count_finished(tmp_path, 2) == [10, 10]
