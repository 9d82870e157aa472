from dataclasses import replace

import pytest
import torch

from lottery_pipeline.evaluation import corruption
from lottery_pipeline.evaluation.corruption import corrupt_images, halve_images
from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.images.splits_file import load_splits, save_splits
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.reproducibility.seeds import make_generator
from tests.tiny import draw_images


def draw_colours(count=7):
    """Images of which every pixel has a colour of its own: green and blue follow from red."""
    red = torch.rand(count, 16, generator=make_generator(0, "red")).argsort(1).to(torch.uint8) * 10
    images = torch.stack([red, red + 1, red + 2], dim=1).view(count, 3, 4, 4)
    return ImageSet(images, torch.arange(count) % 3)


def draw_colour_splits():
    part = draw_colours()
    return replace(draw_images(), train=part, validation=part, test=part, mean=(0.5,) * 3, std=(0.25,) * 3)


def content(part):
    return fingerprint_tensors({"images": part.images, "labels": part.labels})


def test_images_on_disk_are_corrupted_and_halved_as_those_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(corruption, "_IMAGES_AT_ONCE", 3)
    images = draw_images()
    save_splits(images, tmp_path / "images")
    stored = load_splits(tmp_path / "images", "disk")
    for change in (corrupt_images, halve_images):
        found, expected = change(stored, seed=0), change(images, seed=0)
        assert found.storage == "disk"
        assert found.fingerprint == expected.fingerprint
        assert content(found.train) == content(expected.train)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "images.checked"]


def test_corrupted_images_keep_shape_pixels_and_label_counts_and_differ():
    images = draw_images()
    corrupted = corrupt_images(images, seed=0)
    before, after = images.train, corrupted.train
    assert after.images.shape == before.images.shape
    assert torch.equal(after.labels.bincount(), before.labels.bincount())
    assert torch.equal(after.images.flatten(1).sort(1).values, before.images.flatten(1).sort(1).values)
    assert (after.images != before.images).flatten(1).any(1).all()
    assert (after.labels != before.labels).sum() > len(before) / 3


def test_the_channels_of_a_pixel_move_together_and_every_image_has_its_own_permutation():
    images = draw_colour_splits()
    shuffled = corrupt_images(images, seed=1).train.images
    red, green, blue = shuffled.unbind(1)
    assert torch.equal(green, red + 1)
    assert torch.equal(blue, red + 2)
    same = replace(images.train, images=images.train.images[:1].expand(7, -1, -1, -1).contiguous())
    several = corrupt_images(replace(images, train=same), seed=1).train.images
    assert len(several.flatten(1).unique(dim=0)) == 7


def test_corrupting_in_parts_is_the_same(monkeypatch):
    whole = corrupt_images(draw_images(), seed=2)
    monkeypatch.setattr(corruption, "_IMAGES_AT_ONCE", 16)
    assert content(corrupt_images(draw_images(), seed=2).train) == content(whole.train)


def test_a_half_has_half_of_every_class_in_the_old_order():
    images = draw_images()
    half = halve_images(images, seed=0).train
    assert images.train.labels.bincount().tolist() == [14, 13, 13]
    assert half.labels.bincount().tolist() == [7, 7, 7]
    whole = [image.tobytes() for image in images.train.images.numpy()]
    places = [whole.index(image.tobytes()) for image in half.images.numpy()]
    assert places == sorted(places)
    assert torch.equal(images.train.labels[places], half.labels)


@pytest.mark.parametrize("change", [corrupt_images, halve_images])
def test_only_the_training_part_and_the_fingerprint_change(change):
    images = draw_images()
    before = content(images.train)
    changed = change(images, seed=0)
    assert content(images.train) == before
    for part in ("validation", "test"):
        assert content(getattr(changed, part)) == content(getattr(images, part))
    assert (changed.mean, changed.std, changed.class_names) == (images.mean, images.std, images.class_names)
    assert changed.fingerprint != images.fingerprint


@pytest.mark.parametrize("change", [corrupt_images, halve_images])
def test_the_change_follows_the_seed(change):
    first, again, other = (change(draw_images(), seed=seed) for seed in (0, 0, 1))
    assert (first.fingerprint, content(first.train)) == (again.fingerprint, content(again.train))
    assert first.fingerprint != other.fingerprint
    assert content(first.train) != content(other.train)


def test_the_two_changes_have_two_fingerprints():
    images = draw_images()
    assert corrupt_images(images, seed=0).fingerprint != halve_images(images, seed=0).fingerprint
