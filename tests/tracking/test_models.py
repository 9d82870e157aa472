"""Trained tickets as models of MLflow."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lottery_pipeline.tickets import Ticket
from lottery_pipeline.tracking.tracker import Tracker
from tests.tiny import draw_images, draw_ticket
from tests.tracking.runs import find_runs, start

# Neither this package nor a GPU: MLflow would look for one.
READER = """
import sys
sys.modules["lottery_pipeline"] = None
import mlflow, numpy, torch
torch.cuda.is_available = lambda: True
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
numpy.save("logits", model.predict(numpy.load("images.npy")))
"""


@pytest.fixture
def tracker(mlflow_uri: str, tmp_path: Path) -> Iterator[Tracker]:
    tracker = Tracker()
    start(tracker, mlflow_uri, tmp_path)
    tracker.note_images(draw_images())
    tracker.open_block("ltr", {"extraction.density": "0.2"})
    yield tracker
    tracker.finish("FINISHED")


def find_model(uri: str, block: str = "ltr") -> Any:
    from mlflow import MlflowClient

    (output,) = find_runs(uri)[block].outputs.model_outputs
    return MlflowClient(uri).get_logged_model(output.model_id)


def make_record(accuracy: float) -> dict[str, Any]:
    metrics = {"density": 0.2, "kept": 20, "validation_accuracy": accuracy, "test_accuracy": 0.5}
    return {"metrics": metrics, "history": [{"epoch": 1, "step": 1, "train_loss": 0.5}]}


def test_a_new_process_without_this_package_gets_the_logits_of_the_ticket(
    tracker: Tracker, mlflow_uri: str, tmp_path: Path
) -> None:
    ticket = draw_ticket("resnet20", width=8)
    tracker.log_model("ltr", ticket)
    images = np.random.default_rng(0).random((5, 1, 8, 8), dtype=np.float32)
    np.save(tmp_path / "images", images)
    process = [sys.executable, "-c", READER, mlflow_uri, find_model(mlflow_uri).model_uri]
    subprocess.run(process, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    wanted = ticket.build().eval()(torch.from_numpy(images)).detach().numpy()
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), wanted, rtol=1e-5, atol=1e-5)
    assert wanted.std() > 0.001


def test_a_model_says_what_it_takes_and_what_made_it(tracker: Tracker, mlflow_uri: str) -> None:
    import mlflow

    ticket = draw_ticket(width=8)
    tracker.log_model("ltr", ticket)
    tracker.log_record("ltr", make_record(0.9))
    model = find_model(mlflow_uri)
    assert (model.name, model.status, model.params) == ("ltr", "READY", {"extraction.density": "0.2"})
    assert model.source_run_id == find_runs(mlflow_uri)["ltr"].info.run_id
    assert {metric.key for metric in model.metrics} == make_record(0.9)["metrics"].keys()
    (images,) = find_runs(mlflow_uri)["ltr"].inputs.dataset_inputs
    assert {metric.dataset_digest for metric in model.metrics} == {images.dataset.digest}
    assert "[0, 1]" in model.tags["mlflow.note.content"]
    described = mlflow.models.Model.load(model.artifact_location.removeprefix("file://"))
    assert described.signature.inputs.inputs[0].shape == (-1, 1, 8, 8)
    assert described.metadata["class_names"] == ["row 0", "row 1", "row 2"]
    assert described.metadata["fingerprint"] == model.tags["fingerprint"] == ticket.fingerprint
    assert "[0, 1]" in described.metadata["input"]
    assert "normalisation is inside" in described.metadata["input"]


def test_mlflow_s_own_state_is_left_alone_and_nothing_is_printed(
    tracker: Tracker, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import mlflow

    monkeypatch.chdir(tmp_path)  # the default of MLflow is a store here
    before = mlflow.get_tracking_uri()
    tracker.log_model("ltr", draw_ticket(width=8))
    tracker.log_record("ltr", make_record(0.9))
    tracker.register_winner("best")
    assert (mlflow.get_tracking_uri(), mlflow.active_run()) == (before, None)
    assert capfd.readouterr() == ("", "")


class Odd(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images * float(images.sum())  # no graph: it depends on a value


def test_a_network_that_cannot_be_exported_costs_a_warning_and_no_result(
    tracker: Tracker, mlflow_uri: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ticket, "build", lambda _: Odd())
    with caplog.at_level(logging.WARNING, logger="lottery_pipeline"):
        tracker.log_model("ltr", draw_ticket(width=8))
    tracker.log_record("ltr", make_record(0.9))
    ours = [record for record in caplog.records if record.name.startswith("lottery_pipeline")]
    (warning,) = [record.getMessage() for record in ours]
    assert warning.startswith("MLflow has no model of the ticket of ltr: ")
    run = find_runs(mlflow_uri)["ltr"]
    assert (run.info.status, run.data.metrics["test_accuracy"]) == ("FINISHED", 0.5)


def test_models_can_be_switched_off(mlflow_uri: str, tmp_path: Path) -> None:
    tracker = Tracker()
    start(tracker, mlflow_uri, tmp_path, models=False)
    tracker.note_images(draw_images())
    tracker.open_block("ltr", {})
    tracker.log_model("ltr", draw_ticket(width=8))
    tracker.finish("FINISHED")
    assert find_runs(mlflow_uri)["ltr"].outputs.model_outputs == []


def test_the_best_ticket_becomes_the_newest_version_of_a_registered_model(
    tracker: Tracker, mlflow_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    tracker.open_block("cts", {})
    for block, accuracy in (("ltr", 0.8), ("cts", 0.9)):
        tracker.log_model(block, draw_ticket(width=8))
        tracker.log_record(block, make_record(accuracy))
    with caplog.at_level(logging.INFO, logger="lottery_pipeline"):
        tracker.register_winner("best")
        tracker.register_winner("best")
    client, best = tracker.connection.client, find_model(mlflow_uri, "cts")
    versions = client.search_model_versions("name = 'best'")
    assert {(int(version.version), version.run_id) for version in versions} == {
        (1, best.source_run_id),
        (2, best.source_run_id),
    }
    assert client.get_model_version_download_uri("best", "2") == best.artifact_location
    assert best.tags["mlflow.modelVersions"].count('"name": "best"') == 2
    assert caplog.messages[-1] == "MLflow: the ticket of cts is registered as version 2 of best."


def test_nothing_is_registered_without_a_model(tracker: Tracker, caplog: pytest.LogCaptureFixture) -> None:
    tracker.log_record("ltr", make_record(0.9))
    with caplog.at_level(logging.WARNING, logger="lottery_pipeline"):
        tracker.register_winner("best")
    assert tracker.connection.client.search_registered_models() == []
    assert "no model is registered" in caplog.text
