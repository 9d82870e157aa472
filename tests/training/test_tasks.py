"""The table of tasks, and trainings of dense ones."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from lottery_pipeline.images.request import SOURCES
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.supernet.presets import PRESETS
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.training import run as run_module
from lottery_pipeline.training.evaluation import evaluate
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.recipe import Recipe, RecipeError
from lottery_pipeline.training.tasks import TASKS, find_spec_task
from tests.tiny import tiny_spec
from tests.training.tiny import TinyDenseNet, TinyNet, tiny_dense_images, tiny_images, tiny_set, untimed

DENSE = ("segmentation", "keypoints")
RECIPES = {
    "segmentation": Recipe(
        epochs=4, batch_size=8, learning_rate=0.1, flip=True, crop_padding=1, label_smoothing=0.1
    ),
    "keypoints": Recipe(epochs=4, batch_size=8, learning_rate=0.1, crop_padding=1),
}


def test_every_task_of_a_source_is_in_the_table_with_the_name_of_its_headline():
    assert {name for tasks in SOURCES.values() for name in tasks} == set(TASKS)
    assert {name: task.metric for name, task in TASKS.items()} == {
        "classification": "accuracy",
        "segmentation": "mIoU",
        "keypoints": "PCK",
    }
    assert all(name == task.name for name, task in TASKS.items())


def test_classification_is_the_plain_cross_entropy_and_the_share_of_right_classes():
    logits, labels = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3
    task = TASKS["classification"]
    for reduction in ("mean", "sum"):
        expected = F.cross_entropy(logits, labels, label_smoothing=0.1, reduction=reduction)
        assert torch.equal(task.loss(logits, labels, (4, 4), 0.1, reduction), expected)
    sure = F.one_hot(torch.tensor([0, 1, 2, 0, 0, 0]), 3).float()
    assert task.score(task.count(sure, labels, (4, 4)), 6) == {"accuracy": 4 / 6}


@pytest.mark.parametrize("task", TASKS)
def test_the_task_of_a_supernet_is_that_of_its_head(task):
    supernet = PRESETS["digits8"]
    head = supernet.head.model_copy(update={"task": task})
    spec = tiny_spec("conv2", width=8).model_copy(
        update={"name": "supernet", "supernet": supernet.model_copy(update={"head": head})}
    )
    assert isinstance(spec, ModelSpec)
    assert find_spec_task(spec) == task


def test_other_networks_classify():
    assert find_spec_task(tiny_spec("resnet20")) == "classification"


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_score_does_not_depend_on_how_images_are_batched(name, reduction):
    images = tiny_dense_images(name)
    task, size = TASKS[name], images.image_size
    outputs = TinyDenseNet(images.num_classes)(images.test.images.float() / 255)
    labels = images.test.labels
    counts = sum(task.count(outputs[part], labels[part], size) for part in (slice(5), slice(5, None)))
    assert torch.equal(counts, task.count(outputs, labels, size))
    halves = [task.loss(outputs[part], labels[part], size, 0.0, "sum") for part in (slice(5), slice(5, None))]
    torch.testing.assert_close(sum(halves), task.loss(outputs, labels, size, 0.0, "sum"))
    one = task.loss(outputs[:1], labels[:1], size, 0.0, reduction)
    torch.testing.assert_close(one, task.loss(outputs[:1], labels[:1], size, 0.0, "mean"))


@pytest.mark.parametrize("name", DENSE)
def test_a_dense_task_is_learnt_and_measured_by_its_own_score(name):
    images = tiny_dense_images(name)
    model = TinyDenseNet(images.num_classes)
    before = evaluate(model, images.validation)

    result = train(model, images, RECIPES[name].replace(epochs=12, label_smoothing=0.0), seed=3, device="cpu")

    last = result.history[-1]
    further = {"segmentation": "pixel_accuracy", "keypoints": "pixel_error"}[name]
    after = evaluate(model, images.validation)
    assert last["validation_loss"] == after["loss"] < before["loss"]
    assert last["validation_accuracy"] == after["accuracy"] > before["accuracy"]
    assert last[f"validation_{further}"] == after[further]
    assert 0 <= last["train_accuracy"] <= 1


@pytest.mark.parametrize("name", DENSE)
def test_an_interrupted_dense_training_gives_the_same_bits(name, tmp_path, monkeypatch):
    images, recipe = tiny_dense_images(name), RECIPES[name]
    monkeypatch.setattr(run_module, "_SEGMENT_SECONDS", 0.0)  # a stop is possible at every step

    def run(checkpoints=None):
        model = TinyDenseNet(images.num_classes)
        return train(model, images, recipe, seed=3, device="cpu", checkpoints=checkpoints)

    class StoppedError(Exception):
        pass

    class Fragile(Checkpoints):
        saved = 0

        def save(self, *given):
            path = super().save(*given)
            Fragile.saved += 1
            if Fragile.saved == 2:
                raise StoppedError
            return path

    whole = run()
    with pytest.raises(StoppedError):
        run(Fragile(tmp_path, interval_seconds=0.0))
    resumed = run(Checkpoints(tmp_path, interval_seconds=0.0))
    assert fingerprint_tensors(resumed.state) == fingerprint_tensors(whole.state)
    assert untimed(resumed.history) == untimed(whole.history)
    assert resumed.fingerprint == whole.fingerprint


@pytest.mark.parametrize("name", DENSE)
def test_extra_images_of_a_dense_task_join_the_batches_and_not_the_history(name):
    images = tiny_dense_images(name)
    recipe = RECIPES[name].replace(epochs=1)

    def run(extra, per_batch):
        model = TinyDenseNet(images.num_classes)
        return train(model, images, recipe, seed=3, device="cpu", extra=extra, extra_per_batch=per_batch)

    with_extra, without = run(images.test, 2), run(None, 0)
    assert fingerprint_tensors(with_extra.state) != fingerprint_tensors(without.state)
    assert set(with_extra.history[0]) == set(without.history[0])


def test_extra_images_of_another_task_are_refused():
    with pytest.raises(RecipeError, match="extra images are for segmentation, but the training images for"):
        train(
            TinyNet(),
            tiny_images(),
            Recipe(epochs=1),
            seed=0,
            device="cpu",
            extra=tiny_dense_images("segmentation", size=6).test,
            extra_per_batch=1,
        )
    extra = tiny_set(3, seed=0, classes=3)
    with pytest.raises(RecipeError, match="the labels of the extra images must be from 0 to 1"):
        train(
            TinyNet(classes=2),
            tiny_images(classes=2),
            Recipe(epochs=1),
            seed=0,
            device="cpu",
            extra=extra,
            extra_per_batch=1,
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"flip": True}, "points cannot be flipped"), ({"label_smoothing": 0.1}, "no classes to smooth")],
)
def test_what_points_cannot_do_is_refused_in_one_sentence(changes, message):
    images = tiny_dense_images("keypoints")
    with pytest.raises(RecipeError, match=message):
        train(TinyDenseNet(2), images, Recipe(epochs=1, batch_size=8, **changes), seed=0, device="cpu")
