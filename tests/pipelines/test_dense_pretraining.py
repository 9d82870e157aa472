"""Dense pretraining: the stored run is handed back when it is the one asked for."""

from pathlib import Path

import pytest
import torch

from lottery_pipeline.models.registry import build_model
from lottery_pipeline.parameters import ModelParameters, PretrainingParameters, WorkParameters
from lottery_pipeline.pipelines.dense_pretraining.nodes import pretrain_dense
from lottery_pipeline.reporting.start import describe_theta_0
from lottery_pipeline.training.dense_file import save_dense_run
from tests.tiny import draw_images, spec_for

MODEL = ModelParameters(name="lenet_300_100", ignore_layers=("fc",))
PRETRAINING = PretrainingParameters(epochs=2, rewind_epoch=1, batch_size=16, learning_rate=0.05)


def test_the_network_fits_the_images_and_the_stored_run_is_reused(work: WorkParameters) -> None:
    images = draw_images()
    run, record = pretrain_dense(images, MODEL, PRETRAINING, 0, "cpu", work)
    metrics = record["metrics"]
    assert (run.spec.num_classes, run.spec.channels, run.spec.ignore_layers) == (3, 1, ("fc",))
    assert len(record["history"]) == 2
    assert (metrics["prunable"], metrics["fingerprint"]) == (16 * 300 + 300 * 100, run.fingerprint)
    save_dense_run(run, work.models / "dense_run.safetensors")
    work.open_checkpoints().clear_used()
    _, again = pretrain_dense(images, MODEL, PRETRAINING, 0, "cpu", work)
    assert again == record, "the seconds of a new training would differ"
    other, _ = pretrain_dense(images, MODEL, PRETRAINING, 1, "cpu", work)
    assert other.fingerprint != run.fingerprint


def test_weights_of_the_user_s_own_are_theta_0_and_are_said(
    work: WorkParameters, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    images = draw_images()
    network = build_model(spec_for(images), seed=9).network
    torch.save({"model": network.state_dict()}, tmp_path / "mine.pt")
    model = MODEL.model_copy(update={"weights": str(tmp_path / "mine.pt")})
    caplog.set_level("INFO")
    run, record = pretrain_dense(images, model, PRETRAINING, 0, "cpu", work)
    assert torch.equal(run.initial["network.fc.weight"], network.state_dict()["fc.weight"])
    assert record["weights"]["file"] == "mine.pt"
    assert "theta_0 is mine.pt: 35,503 of the network's 35,503 values (6 of 6 tensors)." in caplog.messages
    report, accuracy = describe_theta_0(record), record["metrics"]["theta_0_accuracy"]
    assert report.startswith("theta_0 is mine.pt: ")
    assert report.endswith(f"At theta_0, before any training here, its test accuracy is {accuracy:.1%}.")
    assert describe_theta_0({"metrics": {}}) == ""


def test_a_network_may_normalise_by_statistics_of_its_own(work: WorkParameters) -> None:
    model = MODEL.model_copy(update={"mean": (0.25,), "std": (0.5,)})
    run, _ = pretrain_dense(draw_images(), model, PRETRAINING, 0, "cpu", work)
    assert (run.spec.mean, run.spec.std) == ((0.25,), (0.5,))


def test_what_does_not_count_in_d_is_in_the_record(work: WorkParameters) -> None:
    model = ModelParameters(name="tests.user_networks:heads", ignore_layers=("helper",))
    _, record = pretrain_dense(draw_images(), model, PRETRAINING, 0, "cpu", work)
    rows = {row["layer"]: row["reason"] for row in record["uncounted"]}
    idle = "no part in the forward pass"
    assert rows == {"idle": idle, "helper": "in ignore_layers", "decoder.0": idle, "decoder.1.0": idle}
