"""Requests: how a run is refused, how failures are reported, what a broken tracking server costs."""

import logging
from pathlib import Path
from typing import Any

import pytest

from lottery_pipeline.hooks.requests import RunFailedError, RunRefusedError
from tests.kedro_project import command, redirected, run

DIVERGING = {"pretraining": {"learning_rate": 1e30}}


def find_runs(uri: str) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("lottery_pipeline")
    return list(client.search_runs([experiment.experiment_id])) if experiment else []


def test_a_failed_run_is_failed_in_one_sentence_and_keeps_its_checkpoints(
    mlflow_uri: str, tmp_path: Path
) -> None:
    with redirected(tmp_path, tracking=True), pytest.raises(RunFailedError) as caught:
        run("dense_pretraining", **DIVERGING)
    assert caught.value.message.startswith("DivergenceError: dense diverged in epoch 1")
    (mirrored,) = find_runs(mlflow_uri)
    assert mirrored.info.status == "FAILED"
    assert mirrored.data.tags["error"].startswith("DivergenceError: ")
    assert list(tmp_path.glob("data/work/test/base/*.safetensors"))


def test_an_error_that_is_not_ours_keeps_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("lottery_pipeline.images.preparation.prepare_images", fail)
    with redirected(tmp_path), pytest.raises(KeyError, match="a bug"):
        run("data_preparation")


def test_a_failed_run_is_shown_without_a_traceback(tmp_path: Path) -> None:
    params = "pretraining.learning_rate=1e30"
    done = command(tmp_path, "run", "--env", "test", "--pipelines", "dense_pretraining", "--params", params)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Error: DivergenceError: dense diverged in epoch 1")
    assert "Traceback" not in done.stderr


def test_a_data_folder_that_cannot_be_made_is_said_before_the_first_node(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with redirected(tmp_path), pytest.raises(RunRefusedError) as refusal:
        run("dense_pretraining")
    message = refusal.value.message
    assert message.startswith(str(tmp_path / "data"))
    assert "cannot be written: one of its parent folders is a file; move that away, or choose" in message


def test_damaged_images_and_dense_run_are_set_aside_and_made_anew(tmp_path: Path) -> None:
    places = (
        "data/03_primary/test/base/images.safetensors",
        "data/06_models/test/base/dense_run.safetensors",
    )
    with redirected(tmp_path):
        run("dense_pretraining")
        sound = [(tmp_path / place).read_bytes() for place in places]
        for place, content in zip(places, sound, strict=True):
            (tmp_path / place).write_bytes(content[:-1] + bytes([content[-1] ^ 0x80]))
        run("snip")
    assert (tmp_path / places[0]).read_bytes() == sound[0]
    for place in places:
        assert (tmp_path / f"{place}.damaged").exists()


def test_a_broken_tracking_server_costs_one_warning_and_no_result(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    with redirected(tmp_path, tracking=True), monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        with caplog.at_level(logging.WARNING):
            run("dense_pretraining")
    warnings = [record for record in caplog.records if record.name == "lottery_pipeline.tracking.connection"]
    assert len(warnings) == 1
    assert list(tmp_path.glob("data/06_models/test/base/dense_run.safetensors"))


def test_tracking_switched_off_imports_and_writes_nothing(tmp_path: Path) -> None:
    with redirected(tmp_path):
        run("data_preparation")
    assert not (tmp_path / "mlflow.db").exists()


def test_nodes_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with redirected(tmp_path), caplog.at_level(logging.INFO, logger="lottery_pipeline"):
        run("data_preparation")
    lines = [
        record.getMessage() for record in caplog.records if record.name == "lottery_pipeline.hooks.progress"
    ]
    assert lines[0] == "[1/2] data_preparation.prepare_images"
    assert any(line.startswith("[2/2]") for line in lines)
