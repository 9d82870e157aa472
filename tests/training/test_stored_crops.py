"""Images on disk train as images in memory do, bit for bit."""

from dataclasses import replace

import pytest
import torch

from lottery_pipeline.images.pixel_file import PixelFile
from lottery_pipeline.images.request import ImageError
from lottery_pipeline.images.splits import ImageSet, ImageSplits
from lottery_pipeline.images.splits_file import load_splits, save_splits
from lottery_pipeline.images.stored import StoredImages
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.training import batches as module
from lottery_pipeline.training.batches import Batches
from lottery_pipeline.training.evaluation import evaluate, recompute_batchnorm_
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.parallel import Team
from lottery_pipeline.training.recipe import Recipe
from tests.reference.training_naive import batches_naively
from tests.training.tiny import TinyNet, tiny_images, tiny_masks, tiny_set, untimed

CPU = torch.device("cpu")


def store(image_set: ImageSet, path) -> ImageSet:
    path.write_bytes(image_set.images.numpy().tobytes())
    return replace(image_set, images=StoredImages(PixelFile(path), 0, image_set.images.shape))


def on_disk(images: ImageSplits, path) -> ImageSplits:
    save_splits(images, path)
    return load_splits(path, "disk")


def batches_of(image_set: ImageSet, recipe: Recipe, epoch: int, **options) -> list:
    batches = Batches(image_set, recipe, seed=3, device=CPU, **options)
    batches.start_epoch(epoch)
    steps = range(recipe.steps_per_epoch(len(image_set)))
    return [(pixels.clone(), labels) for pixels, labels in map(batches.get, steps)]


RECIPES = [
    {},
    {"flip": True},
    {"crop_padding": 2},
    {"flip": True, "crop_padding": 3, "crop_mode": "reflect"},
    {"flip": True, "crop_padding": 1, "augmix": True},
]


@pytest.mark.parametrize("changes", RECIPES)
@pytest.mark.parametrize("mirrored", [True, False])
def test_batches_from_disk_are_those_from_memory(tmp_path, monkeypatch, changes, mirrored):
    monkeypatch.setattr(module, "_LARGEST_MIRRORED", 2**28 if mirrored else 0)
    image_set = tiny_set(30, seed=0, channels=3, size=8)
    recipe = Recipe(epochs=9, batch_size=8, **changes)
    stored = store(image_set, tmp_path / "pixels")
    for epoch in (0, 5):
        pairs = zip(batches_of(stored, recipe, epoch), batches_of(image_set, recipe, epoch), strict=True)
        for (pixels, labels), (expected, expected_labels) in pairs:
            assert torch.equal(pixels, expected)
            assert pixels.stride() == expected.stride()
            assert torch.equal(labels, expected_labels)


@pytest.mark.parametrize("changes", RECIPES[:4])
def test_batches_from_disk_are_the_naive_ones(tmp_path, changes):
    image_set = tiny_set(20, seed=0)
    recipe = Recipe(epochs=9, batch_size=8, **changes)
    found = batches_of(store(image_set, tmp_path / "pixels"), recipe, 2)
    naive = batches_naively(image_set, recipe, seed=3, epoch=2)
    for (pixels, labels), (expected, expected_labels) in zip(found, naive, strict=True):
        assert torch.equal(pixels, expected)
        assert torch.equal(labels, expected_labels)


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_each_process_of_a_team_reads_its_own_images(tmp_path, rank):
    image_set, recipe = tiny_set(20, seed=0), Recipe(epochs=9, batch_size=8, flip=True, crop_padding=1)
    stored = store(image_set, tmp_path / "pixels")
    found = batches_of(stored, recipe, 1, team=Team(rank, 3))
    expected = batches_of(image_set, recipe, 1, team=Team(rank, 3))
    for (pixels, labels), (theirs, their_labels) in zip(found, expected, strict=True):
        assert torch.equal(pixels, theirs)
        assert torch.equal(labels, their_labels)


def test_a_batch_out_of_turn_is_the_right_one(tmp_path):
    recipe = Recipe(epochs=9, batch_size=8, crop_padding=1)
    stored = store(tiny_set(30, seed=0), tmp_path / "pixels")
    expected = batches_of(stored, recipe, 0)
    batches = Batches(stored, recipe, seed=3, device=CPU)
    batches.start_epoch(0)
    for index in (2, 3, 0, 0, 1, 3):
        assert torch.equal(batches.get(index)[0], expected[index][0])


def test_only_batches_that_come_soon_are_read(tmp_path, monkeypatch):
    read = []
    whole = StoredImages.__getitem__
    monkeypatch.setattr(StoredImages, "__getitem__", lambda self, index: read.append(1) or whole(self, index))
    recipe = Recipe(epochs=9, batch_size=2)
    batches = Batches(store(tiny_set(40, seed=0), tmp_path / "pixels"), recipe, seed=3, device=CPU)
    batches.start_epoch(0)
    assert not read
    batches.get(0)
    assert len(read) <= 3


def test_a_file_that_is_changed_during_the_training_ends_it_in_one_sentence(tmp_path):
    batches = Batches(
        store(tiny_set(40, seed=0), tmp_path / "pixels"), Recipe(epochs=1, batch_size=2), seed=3, device=CPU
    )
    batches.start_epoch(0)
    batches.get(0)
    (tmp_path / "pixels").write_bytes(b"")
    with pytest.raises(ImageError, match=r"pixels was changed while it was in use: prepare the images again"):
        list(map(batches.get, range(1, 20)))


RECIPE = Recipe(epochs=3, batch_size=5, learning_rate=0.1, flip=True, crop_padding=1, evaluation_interval=4)


def train_on(images: ImageSplits, **options):
    model = TinyNet(channels=3)
    return model, train(model, images, RECIPE, seed=1, masks=tiny_masks(model), device="cpu", **options)


def test_weights_history_and_fingerprint_are_those_of_images_in_memory(tmp_path):
    images = tiny_images(channels=3)
    (model, found), (twin, expected) = train_on(on_disk(images, tmp_path / "images")), train_on(images)
    assert found.fingerprint == expected.fingerprint
    assert untimed(found.history) == untimed(expected.history)
    for name, tensor in expected.state.items():
        assert torch.equal(found.state[name], tensor), name
    stored = load_splits(tmp_path / "images", "disk")
    assert evaluate(model, stored.test) == evaluate(twin, images.test)
    recompute_batchnorm_(model, stored.train, batches=3, batch_size=8)
    recompute_batchnorm_(twin, images.train, batches=3, batch_size=8)
    assert torch.equal(model.norm.running_mean, twin.norm.running_mean)


class StoppedError(Exception):
    """The training was stopped."""


def test_a_training_begun_in_memory_is_resumed_from_disk(tmp_path, caplog):
    images = tiny_images(channels=3)
    expected = train_on(images)[1]
    checkpoints = Checkpoints(tmp_path / "work", interval_seconds=0)

    def stop(row):
        if row["step"] >= 8:
            raise StoppedError

    with pytest.raises(StoppedError):
        train_on(images, checkpoints=checkpoints, on_record=stop)
    with caplog.at_level("INFO"):
        found = train_on(on_disk(images, tmp_path / "images"), checkpoints=checkpoints)[1]
    assert "resumes from step" in caplog.text
    assert untimed(found.history) == untimed(expected.history)
    for name, tensor in expected.state.items():
        assert torch.equal(found.state[name], tensor), name
