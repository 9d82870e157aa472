import numpy as np
import pytest
import torch

from lottery_pipeline.training.augmentation import Crops, fill_floats_, pad_images, to_pixels
from lottery_pipeline.training.recipe import RecipeError
from tests.reference.training_naive import augment_naively


def numbered(count: int, height: int, width: int, channels: int) -> torch.Tensor:
    values = torch.arange(count * height * width * channels) % 251 + 1
    return values.to(torch.uint8).view(count, height, width, channels)


@pytest.mark.parametrize("mode", ["zero", "reflect"])
@pytest.mark.parametrize("shape", [(3, 5, 7, 1), (2, 6, 4, 3)])
def test_padding_agrees_with_numpy(shape, mode):
    images = numbered(*shape)

    padded = pad_images(images, 3, mode)

    sides = ((0, 0), (3, 3), (3, 3), (0, 0))
    expected = np.pad(images.numpy(), sides, mode="reflect" if mode == "reflect" else "constant")
    assert np.array_equal(padded.numpy(), expected)


def test_reflecting_more_than_the_image_holds_is_refused():
    with pytest.raises(RecipeError, match=r"crop_padding 4 .* larger than 4 pixels, but these are 4x9"):
        pad_images(numbered(1, 4, 9, 1), 4, "reflect")


@pytest.mark.parametrize(("mode", "channels"), [("zero", 1), ("zero", 3), ("reflect", 3)])
def test_crops_agree_with_cropping_image_by_image(mode, channels):
    images = numbered(4, 6, 5, channels)
    crops = Crops(pad_images(images, 2, mode), 6, 5)
    indices = torch.tensor([3, 0, 3, 2, 1])
    tops, lefts = torch.tensor([4, 4, 2, 1, 0]), torch.tensor([4, 0, 2, 3, 0])

    found = crops.take(crops.locate(indices, tops, lefts))

    assert found.shape == (5, 6, 5, channels)
    for place, index in enumerate(indices.tolist()):
        expected = augment_naively(
            images[index].permute(2, 0, 1).numpy(),
            top=int(tops[place]),
            left=int(lefts[place]),
            flip=False,
            padding=2,
            mode=mode,
        )
        assert np.array_equal(found[place].permute(2, 0, 1).numpy(), expected)


def test_crops_are_copies():
    padded = pad_images(numbered(2, 4, 4, 1), 1, "zero")
    crops = Crops(padded, 4, 4)
    before = padded.clone()

    crops.take(torch.tensor([0, 1])).zero_()

    assert torch.equal(padded, before)


def test_pixels_are_in_the_unit_interval_and_channels_last():
    pixels = to_pixels(torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8))

    assert pixels.shape == (1, 3, 1, 1)
    assert pixels.flatten().tolist() == pytest.approx([0.0, 0.2, 1.0])
    assert float(pixels.max()) == 1.0
    images = torch.zeros(2, 4, 4, 3, dtype=torch.uint8)
    assert to_pixels(images).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("flips", [0, 1, 3])
def test_only_the_first_images_are_mirrored_on_their_way_into_the_buffer(flips):
    images, buffer = numbered(3, 2, 4, 3), torch.full((5, 2, 4, 3), -1.0)
    before = images.clone()

    floats = fill_floats_(buffer, images, flips)

    assert torch.equal(floats[:flips], before[:flips].flip(2).float())
    assert torch.equal(floats[flips:], before[flips:].float())
    assert torch.equal(images, before)
    assert floats.data_ptr() == buffer.data_ptr()
    assert bool((buffer[3:] == -1).all())
