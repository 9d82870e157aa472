"""Masks and points are moved with the crops and flips of their images."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.training import batches as module
from lottery_pipeline.training.augmentation import move_points, pad_images
from lottery_pipeline.training.batches import Batches
from lottery_pipeline.training.recipe import Recipe, RecipeError

CPU = torch.device("cpu")
SIZE = (5, 7)


def masks_seen_in_their_images(count: int = 11) -> ImageSet:
    """Each pixel shows the class of its mask: class + 1, or 200 where there is none."""
    labels = torch.randint(0, 4, (count, *SIZE), generator=torch.Generator().manual_seed(0))
    labels[:, 1] = 255
    images = torch.where(labels == 255, 200, labels + 1).to(torch.uint8)[:, None]
    return ImageSet(images, labels)


def points_seen_in_their_images(count: int = 11) -> ImageSet:
    """Pixel i + 1 is bright where point i is; the last point of each image is hidden."""
    generator = torch.Generator().manual_seed(0)
    places = torch.stack([torch.randperm(35, generator=generator)[:3] for _ in range(count)])
    images = torch.zeros(count, 1, *SIZE, dtype=torch.uint8)
    images.view(count, -1).scatter_(1, places, torch.tensor([1, 2, 0], dtype=torch.uint8).expand(count, 3))
    x, y = places % 7, places // 7
    labels = torch.stack([16 * x + 5, 16 * y + 11, torch.tensor([1, 1, 0]).expand(count, 3)], dim=2)
    return ImageSet(images, labels)


def every_batch(image_set: ImageSet, recipe: Recipe, epoch: int = 2):
    batches = Batches(image_set, recipe, seed=3, device=CPU)
    batches.start_epoch(epoch)
    for index in range(recipe.steps_per_epoch(len(image_set))):
        pixels, labels = batches.get(index)
        yield (255 * pixels).round().long()[:, 0], labels


@pytest.mark.parametrize("mirror", [0, 10**9], ids=["flipped when needed", "mirrored before"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"flip": True},
        {"crop_padding": 3},
        {"flip": True, "crop_padding": 2},
        {"flip": True, "crop_padding": 2, "crop_mode": "reflect"},
    ],
)
def test_masks_stay_on_their_images_and_padding_has_no_class(changes, mirror, monkeypatch):
    monkeypatch.setattr(module, "_LARGEST_MIRRORED", mirror)
    padded = 0
    for pixels, labels in every_batch(
        masks_seen_in_their_images(), Recipe(epochs=3, batch_size=4, **changes)
    ):
        assert labels.dtype == torch.int64
        expected = torch.where((pixels == 0) | (pixels == 200), 255, pixels - 1)
        assert torch.equal(labels, expected)
        padded += int((pixels == 0).sum())
    assert (padded > 0) == ("crop_padding" in changes and "crop_mode" not in changes)


def test_flips_and_crops_happen_in_the_order_of_the_images_alone():
    image_set, plain = masks_seen_in_their_images(), Recipe(epochs=3, batch_size=4)
    moved = plain.replace(flip=True, crop_padding=2)
    for recipe in (plain, moved):
        first = [labels for _, labels in every_batch(image_set, recipe)]
        again = [labels for _, labels in every_batch(image_set, recipe)]
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], next(iter(every_batch(image_set, plain)))[1])


@pytest.mark.parametrize("padding", [0, 3])
def test_points_stay_on_their_images_and_are_hidden_outside(padding):
    hidden = 0
    recipe = Recipe(epochs=3, batch_size=4, crop_padding=padding)
    for pixels, labels in every_batch(points_seen_in_their_images(), recipe):
        for image, points in zip(pixels, labels.tolist(), strict=True):
            for number, (x, y, visible) in enumerate(points, start=1):
                places = (image == number).nonzero().tolist()
                assert places == ([[y // 16, x // 16]] if visible else [])
                hidden += not visible
    assert hidden > 11 if padding else hidden == 11


@given(
    place=st.tuples(st.integers(-50, 200), st.integers(-50, 200)),
    corner=st.tuples(st.integers(0, 8), st.integers(0, 8)),
)
@settings(max_examples=50)
def test_a_point_moves_by_whole_pixels_and_a_hidden_one_stays_hidden(place, corner):
    points = torch.tensor([[[*place, 1], [*place, 0]]])
    left, top = corner
    moved = move_points(points, torch.tensor([top]), torch.tensor([left]), 4, SIZE)
    x, y = place[0] + 16 * (4 - left), place[1] + 16 * (4 - top)
    inside = 0 <= x < 16 * 7 and 0 <= y < 16 * 5
    assert moved.tolist() == [[[x, y, int(inside)], [x, y, 0]]]
    assert points[0, 0].tolist() == [*place, 1]


def test_points_cannot_be_flipped():
    with pytest.raises(RecipeError, match="flip is on, but points cannot be flipped"):
        Batches(points_seen_in_their_images(), Recipe(epochs=1, flip=True), seed=0, device=CPU)


def test_padding_is_filled_as_asked():
    padded = pad_images(torch.zeros(1, 2, 2, 1, dtype=torch.uint8), 1, "zero", fill=255)
    assert padded[0, :, :, 0].tolist() == [[255] * 4, [255, 0, 0, 255], [255, 0, 0, 255], [255] * 4]
