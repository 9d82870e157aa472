import math

import pytest

from lottery_pipeline import __version__
from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint, fingerprint_tensors
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.training import dense as module
from lottery_pipeline.training.dense import DenseRunError, pretrain
from lottery_pipeline.training.dense_file import load_dense_run, save_dense_run
from lottery_pipeline.training.evaluation import evaluate
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.recipe import Recipe, RecipeError
from tests.training.tiny import tiny_dense_images, tiny_dense_spec, tiny_images

RECIPE = Recipe(epochs=2, batch_size=8, learning_rate=0.05)  # 22 images: 3 steps an epoch


@pytest.fixture(scope="module")
def images():
    return tiny_images()


def spec_for(images, **changes) -> ModelSpec:
    given = {"name": "lenet_300_100", "num_classes": 3, "channels": 1, "image_size": (6, 6)}
    return ModelSpec(**{**given, "mean": images.mean, "std": images.std, **changes})


def make(images, **options):
    options = {"rewind_epoch": 1.0, "seed": 4, "device": "cpu", **options}
    spec = options.pop("spec", None) or spec_for(images)
    return pretrain(images, spec, options.pop("recipe", RECIPE), **options)


@pytest.fixture(scope="module")
def dense(images):
    return make(images)


def test_a_dense_run_keeps_the_start_the_rewind_point_and_the_end(images, dense):
    model = build_model(spec_for(images), seed=derive_seed(4, "initialisation"))
    assert fingerprint_tensors(dense.initial) == fingerprint_tensors(model.state_dict())

    training = train(model, images, RECIPE, seed=derive_seed(4, "dense"), snapshot_steps=[0, 3], device="cpu")

    assert dense.rewind_step == 3
    assert fingerprint_tensors(dense.rewind) == fingerprint_tensors(training.snapshots[3])
    assert fingerprint_tensors(dense.final) == fingerprint_tensors(training.state)
    test = evaluate(model, images.test)
    assert dense.metrics["test_accuracy"] == test["accuracy"]
    assert dense.metrics["test_loss"] == test["loss"]
    assert dense.metrics["validation_accuracy"] == training.history[-1]["validation_accuracy"]
    assert dense.metrics["prunable"] == 36 * 300 + 300 * 100 + 100 * 3
    assert dense.metrics["epochs"] == 2
    assert dense.images_fingerprint == images.fingerprint


def test_ignored_layers_do_not_count_as_prunable(images):
    spec = spec_for(images)
    last = list(prunable_parameters(build_model(spec, seed=0)))[-1].removesuffix(".weight")

    run = make(
        images, spec=spec_for(images, ignore_layers=(last,)), recipe=RECIPE.replace(epochs=1), rewind_epoch=0
    )

    assert run.metrics["prunable"] == 36 * 300 + 300 * 100


def test_without_weights_of_the_user_s_own_nothing_is_added_to_the_identity(images, dense):
    record = {
        "kind": "dense_run",
        "version": __version__,
        "images": images.fingerprint,
        "spec": spec_for(images).model_dump(mode="json"),
        "recipe": RECIPE.record(),
        "seed": 4,
        "rewind_step": 3,
    }
    assert dense.fingerprint == fingerprint(record)


@pytest.mark.parametrize(("epoch", "step"), [(0, 0), (0.5, 2), (1.8, 5)])
def test_a_rewind_point_may_lie_inside_an_epoch(images, epoch, step):
    run = make(images, rewind_epoch=epoch)

    assert run.rewind_step == step
    assert (fingerprint_tensors(run.rewind) == fingerprint_tensors(run.initial)) == (step == 0)


@pytest.mark.parametrize("epoch", [2, 5.0, -1, math.nan])
def test_a_rewind_point_outside_the_training_is_refused(images, epoch):
    with pytest.raises(RecipeError, match="rewind_epoch"):
        make(images, rewind_epoch=epoch)


def test_a_stored_run_is_returned_only_when_it_is_the_one_asked_for(images, dense, monkeypatch):
    calls = []

    def count(*arguments, **options):
        calls.append(1)
        return train(*arguments, **options)

    monkeypatch.setattr(module, "train", count)

    assert make(images, stored=dense) is dense
    assert calls == []
    others = [
        make(images, stored=dense, seed=5),
        make(images, stored=dense, rewind_epoch=0),
        make(images, stored=dense, recipe=RECIPE.replace(learning_rate=0.1)),
        make(tiny_images(train=20), stored=dense),
    ]
    assert len(calls) == 4
    assert len({run.fingerprint for run in [dense, *others]}) == 5


def test_a_killed_pretraining_resumes_from_its_checkpoint(images, dense, tmp_path):
    class Killed(BaseException):
        pass

    def die(row):
        if row["epoch"] == 2:
            raise Killed

    checkpoints = Checkpoints(tmp_path, interval_seconds=0)
    with pytest.raises(Killed):
        make(images, checkpoints=checkpoints, on_record=die)
    told = []

    run = make(images, checkpoints=checkpoints, on_record=told.append)

    assert [row["epoch"] for row in told] == [1, 2]
    assert fingerprint_tensors(run.final) == fingerprint_tensors(dense.final)
    assert fingerprint_tensors(run.rewind) == fingerprint_tensors(dense.rewind)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_classes": 4}, "num_classes 4, but the images have 3"),
        ({"channels": 3, "mean": (0.5,) * 3, "std": (0.5,) * 3}, "channels 3, but the images have 1"),
        ({"image_size": (8, 6)}, r"image_size \(8, 6\), but the images have \(6, 6\)"),
    ],
)
def test_a_model_for_other_images_is_refused(images, changes, words):
    with pytest.raises(DenseRunError, match=words):
        make(images, spec=spec_for(images, **changes))


def test_a_model_for_another_task_is_refused(images):
    masks = tiny_dense_images("segmentation")
    with pytest.raises(DenseRunError, match="task classification, but the images have segmentation"):
        make(masks, spec=spec_for(masks, num_classes=2, image_size=(8, 8)))
    with pytest.raises(DenseRunError, match="task keypoints, but the images have segmentation"):
        make(masks, spec=tiny_dense_spec(masks, task="keypoints"))
    with pytest.raises(DenseRunError, match="task segmentation, but the images have classification"):
        make(images, spec=tiny_dense_spec(images, task="segmentation"))


@pytest.mark.parametrize(
    ("task", "metric", "further"),
    [("segmentation", "mIoU", "test_pixel_accuracy"), ("keypoints", "PCK", "test_pixel_error")],
)
def test_a_dense_task_names_its_metric_and_survives_the_file(tmp_path, task, metric, further):
    images = tiny_dense_images(task)
    run = make(images, spec=tiny_dense_spec(images), rewind_epoch=0.0)
    assert run.metrics["metric"] == metric
    assert run.metrics[further] >= 0
    assert 0 <= run.metrics["test_accuracy"] <= 1
    save_dense_run(run, tmp_path / "run")
    assert load_dense_run(tmp_path / "run").metrics == run.metrics


def test_classification_has_the_metrics_that_it_always_had(dense):
    assert set(dense.metrics) == {
        "test_accuracy",
        "test_loss",
        "validation_accuracy",
        "seconds",
        "epochs",
        "early_stop_step",
        "prunable",
    }


def test_no_test_images_is_an_error_before_the_training():
    images = tiny_images(test=0)

    with pytest.raises(DenseRunError, match="no test images"):
        make(images)


def test_what_does_not_count_is_said_once_and_idle_layers_are_in_the_specification(
    images, caplog, monkeypatch
):
    monkeypatch.setattr(module, "_said", set())
    name = "tests.user_networks:heads"
    spec = spec_for(images, name=name)
    run = pretrain(images, spec, RECIPE, rewind_epoch=1, seed=0, device="cpu", allow_factory=name)
    assert run.spec.ignore_layers == ("network.decoder.*", "network.idle")
    assert run.metrics["prunable"] == 36 * 4 + 2 * 4 * 3
    again = pretrain(
        images, run.spec, RECIPE, rewind_epoch=1, seed=0, device="cpu", allow_factory=name, stored=run
    )
    assert again is run
    [said] = [message for message in caplog.messages if "not counted in D" in message]
    assert said == (
        "tests.user_networks:heads: 27.6 % of the network's weights are not counted in D: "
        "idle, decoder.0, decoder.1.0 (no part in the forward pass, 27.6 %)."
    )


def test_nothing_is_said_of_what_the_user_leaves_out(images, caplog):
    spec = spec_for(images, ignore_layers=("fc",))
    pretrain(images, spec, RECIPE, rewind_epoch=1, seed=0, device="cpu")
    assert not [message for message in caplog.messages if "not counted" in message]


def test_a_pattern_that_matches_no_layer_is_refused_before_the_training(images):
    with pytest.raises(ModelError, match="'head' matches no layer; layers are fc1, fc2, fc"):
        pretrain(
            images, spec_for(images, ignore_layers=("head",)), RECIPE, rewind_epoch=1, seed=0, device="cpu"
        )
