"""Hooks: what a run leaves in MLflow, how failures are reported, what happens to checkpoints."""

import logging
import subprocess
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from lottery_pipeline.hooks.requests import RunFailedError
from lottery_pipeline.tracking.hook import describe_commit
from tests.kedro_project import command, redirected, run

DIVERGING = {"pretraining": {"learning_rate": 1e30}}


def find_runs(uri: str) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("lottery_pipeline")
    return list(client.search_runs([experiment.experiment_id])) if experiment else []


def list_artifacts(uri: str, run: Any, folder: str | None = None) -> set[str]:
    from mlflow import MlflowClient

    found = set()
    for item in MlflowClient(uri).list_artifacts(run.info.run_id, folder):
        found |= list_artifacts(uri, run, item.path) if item.is_dir else {item.path}
    return found


def test_a_run_is_mirrored_as_it_was(mlflow_uri: str, tmp_path: Path) -> None:
    with redirected(tmp_path, tracking=True):
        session = run("ltr", variant="v1", ltr={"extraction": {"density": 0.3}})
    (mirrored,) = find_runs(mlflow_uri)
    data = mirrored.data
    assert mirrored.info.status == "FINISHED"
    assert data.params["ltr.extraction.density"] == "0.3"
    assert data.params["model.name"] == "lenet_300_100"
    assert data.tags["kedro.run_id"] == session.session_id
    assert (data.tags["kedro.pipelines"], data.tags["kedro.env"], data.tags["variant"]) == (
        "ltr",
        "test",
        "v1",
    )
    assert {
        "dense.test_accuracy",
        "ltr.test_accuracy",
        "ltr.density",
        "ltr.search_epochs",
        "ltr.search_seconds",
        "ltr.train_seconds",
        "dense.seconds",
    } <= data.metrics.keys()
    assert {"ltr.history.train_loss", "dense.history.validation_accuracy"} <= data.metrics.keys()
    assert {"ltr.round_01.train_loss", "ltr.ladder.test_accuracy"} <= data.metrics.keys()
    assert {
        "catalog_versions.json",
        "parameters.json",
        "figures/data_samples.html",
        "ltr/ticket.safetensors",
        "ltr/ladder_table.json",
    } <= list_artifacts(mlflow_uri, mirrored)


def test_the_versions_of_the_catalog_are_told(mlflow_uri: str, tmp_path: Path) -> None:
    from mlflow.artifacts import load_dict

    with redirected(tmp_path, tracking=True):
        session = run("ltr", ltr={"controls": {"kinds": []}})
    (mirrored,) = find_runs(mlflow_uri)
    versions = load_dict(f"{mirrored.info.artifact_uri}/catalog_versions.json")
    assert versions["ltr.ticket"] == {"saved": session.session_id, "loaded": session.session_id}
    assert "images" not in versions


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


def test_a_run_that_ends_well_leaves_no_checkpoint(tmp_path: Path) -> None:
    with redirected(tmp_path):
        run("ltr")
    assert not list(tmp_path.glob("data/work/**/*.safetensors"))


def test_the_checkpoints_of_a_stored_dense_run_go_when_it_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise KeyError("interrupted")

    monkeypatch.setattr("lottery_pipeline.evaluation.retraining.retrain_ticket", fail)
    with redirected(tmp_path), pytest.raises(KeyError):
        run("ltr")
    (left,) = tmp_path.glob("data/work/test/base/*.safetensors")  # the search: a later run resumes from it
    with safe_open(left, "pt") as file:
        assert '"trace"' in file.metadata()["checkpoint"]


def test_a_failed_run_is_shown_without_a_traceback(tmp_path: Path) -> None:
    params = "pretraining.learning_rate=1e30"
    done = command(tmp_path, "run", "--env", "test", "--pipelines", "dense_pretraining", "--params", params)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Error: DivergenceError: dense diverged in epoch 1")
    assert "Traceback" not in done.stderr


def test_a_broken_tracking_server_costs_one_warning_and_no_result(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    with redirected(tmp_path, tracking=True), caplog.at_level(logging.WARNING):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        run("dense_pretraining")
    warnings = [record for record in caplog.records if record.name == "lottery_pipeline.tracking.tracker"]
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
    assert lines[0] == "[1/3] prepare_images"
    assert any(line.startswith("[3/3]") for line in lines)


def test_outputs_that_no_hook_saw_are_mirrored_at_the_end(
    mlflow_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lottery_pipeline.tracking.hook import TrackingHooks

    # A parallel runner's workers call no dataset hooks in this process.
    monkeypatch.delattr(TrackingHooks, "after_dataset_saved")
    with redirected(tmp_path, tracking=True):
        run("dense_pretraining")
    assert "dense.test_accuracy" in find_runs(mlflow_uri)[0].data.metrics


def test_the_commit_is_told_inside_a_repository_only(tmp_path: Path) -> None:
    assert describe_commit(tmp_path) == {}
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    clean = describe_commit(tmp_path)
    (tmp_path / "new").touch()
    assert len(clean["git.sha"]) == 40
    assert (clean["git.dirty"], describe_commit(tmp_path)["git.dirty"]) == ("false", "true")
