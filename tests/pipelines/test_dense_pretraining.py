"""Dense pretraining: the stored run is handed back when it is the one asked for."""

from lottery_pipeline.parameters import ModelParameters, PretrainingParameters, WorkParameters
from lottery_pipeline.pipelines.dense_pretraining.nodes import pretrain_dense
from lottery_pipeline.training.dense_file import save_dense_run
from tests.tiny import draw_images

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


def test_what_does_not_count_in_d_is_in_the_record(work: WorkParameters) -> None:
    model = ModelParameters(name="tests.user_networks:heads", ignore_layers=("helper",))
    _, record = pretrain_dense(draw_images(), model, PRETRAINING, 0, "cpu", work)
    rows = {row["layer"]: row["reason"] for row in record["uncounted"]}
    idle = "no part in the forward pass"
    assert rows == {"idle": idle, "helper": "in ignore_layers", "decoder.0": idle, "decoder.1.0": idle}
