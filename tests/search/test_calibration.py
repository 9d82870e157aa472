"""Calibration images: how many, of which classes, in which order."""

import torch

from lottery_pipeline.images.splits import ImageSet, assemble_splits
from lottery_pipeline.search.calibration import draw_calibration
from tests.tiny import draw_images

CPU = torch.device("cpu")


def test_calibration_images_are_so_many_of_each_class_drawn_by_seed():
    images = draw_images(counts=(50, 3, 3))
    pixels, labels = draw_calibration(images, per_class=4, seed=0, device=CPU)
    assert labels.bincount().tolist() == [4, 4, 4]
    assert labels.tolist() != sorted(labels.tolist())
    assert pixels.dtype == torch.float32
    assert 0 <= float(pixels.min()) <= float(pixels.max()) <= 1
    train = zip(images.train.images, images.train.labels, strict=True)
    rows = {tuple(image.flatten().tolist()): int(label) for image, label in train}
    found = [tuple((pixel * 255).round().int().flatten().tolist()) for pixel in pixels]
    assert [rows[row] for row in found] == labels.tolist()
    assert len(set(found)) == 12
    again, other = (draw_calibration(images, per_class=4, seed=seed, device=CPU)[0] for seed in (0, 1))
    assert torch.equal(pixels, again)
    assert not torch.equal(pixels, other)


def test_a_class_with_few_images_gives_all_it_has(caplog):
    labels = torch.tensor([0, 0, 0, 0, 1, 0])
    images = torch.arange(6, dtype=torch.uint8).reshape(6, 1, 1, 1)
    part = ImageSet(images, labels)
    splits = assemble_splits(part, part, part, ["a", "b", "c"], source="tiny")
    pixels, drawn = draw_calibration(splits, per_class=3, seed=0, device=CPU)
    assert drawn.bincount(minlength=3).tolist() == [3, 1, 0]
    (said,) = caplog.messages
    assert "class 'b' has only 1 training images (2 of 3 classes have fewer): 4 are taken in all." in said
    assert torch.isclose(pixels[drawn == 1].flatten(), torch.tensor([4 / 255])).all()
