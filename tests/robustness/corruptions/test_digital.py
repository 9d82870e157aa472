import io

import numpy as np
import pytest
from PIL import Image

from lottery_pipeline.robustness.corruptions.digital import contrast, jpeg_compression, pixelate
from tests.robustness.corruptions.pictures import draw_random, draw_smooth, fill

CONTRASTS = (0.75, 0.5, 0.4, 0.3, 0.15)
QUALITIES = (80, 65, 58, 50, 40)


@pytest.mark.parametrize(("severity", "factor"), list(enumerate(CONTRASTS, start=1)))
def test_contrast_pulls_each_channel_to_its_mean(severity, factor):
    # The channels have the means 100, 50 and 200.
    values = [[0, 0, 145], [200, 100, 255]] * 2
    image = np.array(values, dtype=np.uint8).reshape(1, 2, 2, 3)
    means = np.array([100, 50, 200])
    expected = np.floor(means + (np.array(values) - means) * factor + 1e-6)
    assert np.array_equal(contrast(image, severity).reshape(4, 3), expected)


@pytest.mark.parametrize("value", [0, 33, 255])
def test_a_constant_image_has_no_contrast_to_lose(value):
    assert np.array_equal(contrast(fill(value, 5, 7), 5), fill(value, 5, 7))


def test_pixelate_by_hand_makes_four_blocks_of_a_4_by_4_image():
    image = np.array([[0, 2, 10, 10], [4, 6, 10, 10], [0, 0, 255, 255], [0, 0, 255, 253]], dtype=np.uint8)
    found = pixelate(image.reshape(1, 4, 4, 1), 5)  # int(4 * 0.65) = 2
    expected = [[3, 3, 10, 10], [3, 3, 10, 10], [0, 0, 255, 255], [0, 0, 255, 255]]
    assert found.reshape(4, 4).tolist() == expected


@pytest.mark.parametrize(("severity", "small"), [(1, 30), (2, 28), (3, 27), (4, 24), (5, 20)])
def test_pixelate_of_cifar_size_goes_through_the_published_sizes(severity, small):
    image = draw_random(1, 32, 32, 3)
    picture = Image.fromarray(image[0]).resize((small, small), Image.Resampling.BOX)
    expected = np.asarray(picture.resize((32, 32), Image.Resampling.BOX))
    assert np.array_equal(pixelate(image, severity)[0], expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("severity", "quality"), list(enumerate(QUALITIES, start=1)))
def test_jpeg_is_that_of_pillow_at_the_published_quality(severity, quality, channels):
    images = draw_smooth(2, 33, 31, channels)
    found = jpeg_compression(images, severity)
    for image, ours in zip(images, found, strict=True):
        file = io.BytesIO()
        Image.fromarray(image.squeeze()).save(file, format="jpeg", quality=quality)
        assert np.array_equal(ours.squeeze(), np.asarray(Image.open(file)))
