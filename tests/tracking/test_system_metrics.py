"""The load of the machine, in MLflow."""

import logging
import time
from pathlib import Path

import pytest

from lottery_pipeline.tracking.tracker import Tracker
from tests.tracking.runs import find_runs, start


def test_the_load_of_the_machine_is_drawn_if_asked_for(
    mlflow_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    tracker = Tracker()
    start(tracker, mlflow_uri, tmp_path, system_metrics=True)
    time.sleep(0.5)
    tracker.finish("FINISHED")
    metrics = find_runs(mlflow_uri)["run"].data.metrics
    assert "system/cpu_utilization_percentage" in metrics
    assert len(metrics) <= 20


def test_without_psutil_one_warning_says_what_to_install(
    mlflow_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lottery_pipeline.options.extras.find_spec", lambda _: None)
    tracker = Tracker()
    with caplog.at_level(logging.WARNING):
        start(tracker, mlflow_uri, tmp_path, system_metrics=True)
    assert 'pip install "lottery_pipeline[system]"' in caplog.text
    assert tracker.active
    tracker.finish("FINISHED")
