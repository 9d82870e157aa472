import numpy as np
import pytest
import torch
from PIL import Image

from lottery_pipeline.images.conversion import fit_images
from lottery_pipeline.images.memory import IMAGES_PER_CHUNK


def random_images(count: int, channels: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator)


def test_images_that_fit_already_are_unchanged():
    images = random_images(2, 3, 4, 5)
    assert torch.equal(fit_images(images, image_size=None, channels=None), images)
    assert torch.equal(fit_images(images, image_size=None, channels=3), images)


def test_grey_is_repeated_for_rgb():
    images = random_images(2, 1, 4, 4)
    assert torch.equal(fit_images(images, image_size=None, channels=3), images.expand(2, 3, 4, 4))


def test_rgb_becomes_the_grey_that_pillow_makes():
    images = random_images(5, 3, 16, 16)
    grey = fit_images(images, image_size=None, channels=1)
    for image, ours in zip(images, grey, strict=True):
        pillow = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).convert("L")
        assert np.array_equal(ours[0].numpy(), np.asarray(pillow))


@pytest.mark.parametrize(("height", "width", "size"), [(28, 28, 32), (32, 32, 8), (20, 31, 10), (9, 5, 4)])
@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_equals_pillows_antialiased_one_of_the_centre_square(height, width, size, channels):
    images = random_images(3, channels, height, width)
    resized = fit_images(images, image_size=size, channels=None)
    assert resized.shape == (3, channels, size, size)
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    for image, ours in zip(images, resized, strict=True):
        array = image.permute(1, 2, 0).contiguous().numpy().squeeze(-1 if channels == 1 else ())
        pillow = Image.fromarray(array).crop((left, top, left + side, top + side))
        expected = np.asarray(pillow.resize((size, size), Image.Resampling.BILINEAR)).reshape(size, size, -1)
        assert np.abs(ours.permute(1, 2, 0).numpy().astype(int) - expected).max() <= 1


def test_chunks_make_no_difference():
    images = random_images(IMAGES_PER_CHUNK + 3, 1, 4, 4)
    together = fit_images(images, image_size=5, channels=3)
    assert torch.equal(together[-3:], fit_images(images[-3:], image_size=5, channels=3))
    assert together.is_contiguous()
