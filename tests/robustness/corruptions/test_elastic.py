import numpy as np
import pytest

from lottery_pipeline.robustness.corruptions.elastic import ELASTICITIES, elastic_transform, sample
from tests.reference.corruptions_naive import elastic_naive
from tests.robustness.corruptions.pictures import draw_random, fill, generators


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("size", [(4, 4), (9, 7), (32, 32)])
def test_elastic_transform_is_that_of_scipys_interpolation(severity, size):
    images = draw_random(2, *size, 3)
    strength, smoothness, reach = (min(size) * value for value in ELASTICITIES[severity - 1])
    found = elastic_transform(images, severity, generators(2))
    for image, generator, ours in zip(images, generators(2), found, strict=True):
        corners, draws = generator.uniform(-reach, reach, (3, 2)), generator.uniform(-1, 1, (2, *size))
        expected = elastic_naive(image, corners, draws, strength, smoothness)
        assert np.abs(ours.astype(int) - expected).max() <= 1  # the order of summation
        assert (ours != expected).mean() < 0.01


@pytest.mark.parametrize("severity", [1, 5])
def test_a_constant_image_stays_constant(severity):
    assert np.array_equal(elastic_transform(fill(99), severity, generators(1)), fill(99))


@pytest.mark.parametrize(("mirrored", "expected"), [(True, [20, 10, 0, 10, 20, 30, 20, 10]),
                                                    (False, [10, 0, 0, 10, 20, 30, 30, 20])])  # fmt: skip
def test_the_two_kinds_of_mirror_differ_in_the_border_pixel(mirrored, expected):
    line = np.array([0.0, 10, 20, 30]).reshape(1, 1, 4, 1).repeat(2, axis=1)
    for column, value in zip(range(-2, 6), expected, strict=True):
        places = np.full((1, 2, 4), float(column))
        assert sample(line, np.zeros((1, 2, 4)), places, mirrored=mirrored) == pytest.approx(value)


def test_between_pixels_the_value_is_between():
    image = np.array([[0.0, 10], [20, 30]]).reshape(1, 2, 2, 1)
    found = sample(image, np.full((1, 2, 2), 0.5), np.full((1, 2, 2), 0.25), mirrored=True)
    assert found == pytest.approx(12.5)
