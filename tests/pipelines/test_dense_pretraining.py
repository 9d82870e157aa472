"""Dense pretraining: the stored run is handed back when it is the one asked for."""

from lottery_pipeline.parameters import ModelParameters, PretrainingParameters
from lottery_pipeline.pipelines.dense_pretraining.nodes import pretrain_dense
from tests.tiny import draw_images

MODEL = ModelParameters(name="lenet_300_100", ignore_layers=("fc",))
PRETRAINING = PretrainingParameters(epochs=2, rewind_epoch=1, batch_size=16, learning_rate=0.05)


def test_the_network_fits_the_images_and_the_stored_run_is_reused() -> None:
    images = draw_images()
    run, history, metrics = pretrain_dense(images, None, MODEL, PRETRAINING, 0, "cpu", None)
    assert (run.spec.num_classes, run.spec.channels, run.spec.ignore_layers) == (3, 1, ("fc",))
    assert len(history) == 2
    assert metrics["prunable"] == 16 * 300 + 300 * 100
    assert pretrain_dense(images, run, MODEL, PRETRAINING, 0, "cpu", None)[0] is run
    assert pretrain_dense(images, run, MODEL, PRETRAINING, 1, "cpu", None)[0] is not run
