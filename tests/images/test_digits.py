import numpy as np
from sklearn.datasets import load_digits

from lottery_pipeline.images.digits import find_digits
from lottery_pipeline.images.request import ImageRequest


def test_digits_are_scaled_from_0_16_to_0_255():
    images = find_digits(ImageRequest()).load(0)
    pixels = images.read(np.arange(1797))
    assert pixels.shape == (1797, 1, 8, 8)
    original = load_digits().images
    assert np.array_equal(pixels[:, 0].numpy(), np.rint(original * 255 / 16))
    assert (int(pixels.min()), int(pixels.max())) == (0, 255)
    assert images.labels.tolist() == load_digits().target.tolist()
    assert images.class_names == tuple("0123456789")


def test_digits_are_resized_and_made_rgb():
    images = find_digits(ImageRequest(image_size=32, channels=3)).load(0)
    assert images.read(np.array([5, 1])).shape == (2, 3, 32, 32)
