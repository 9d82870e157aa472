import numpy as np
import pytest

from lottery_pipeline.robustness.corruptions.weather import (
    BRIGHTENINGS,
    FOGS,
    brightness,
    fog,
    make_heights,
)
from tests.reference.corruptions_naive import brightness_naive, heights_naive
from tests.robustness.corruptions.pictures import draw_random, fill, generators

EVERY_SEVERITY = pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])


@EVERY_SEVERITY
def test_brightness_of_colours_is_that_through_hue_saturation_and_value(severity):
    images = draw_random(2, 9, 7, 3)
    images[0, 0] = 0  # black has neither hue nor saturation
    images[0, 1] = 255
    expected = [brightness_naive(image, BRIGHTENINGS[severity - 1]) for image in images]
    assert np.array_equal(brightness(images, severity), expected)


def test_brightness_by_hand():
    # 0.1 is 25.5 levels; what is above white is cut.
    grey = np.array([0, 10, 200, 240, 255], dtype=np.uint8).reshape(1, 1, 5, 1)
    assert brightness(grey, 2).ravel().tolist() == [25, 35, 225, 255, 255]
    red = np.array([51, 0, 0], dtype=np.uint8).reshape(1, 1, 1, 3)
    assert brightness(red, 4).ravel().tolist() == [102, 0, 0]  # stays red


@pytest.mark.parametrize("decay", [3.0, 1.75])
@pytest.mark.parametrize("side", [4, 8])
def test_heights_are_those_of_the_plain_method(side, decay):
    draws = np.random.default_rng(0).uniform(-1, 1, (2, side * side - 1))
    expected = [heights_naive(draw, decay) for draw in draws]
    found = make_heights(draws, decay)
    assert found == pytest.approx(np.stack(expected), abs=1e-12)
    assert (found.min(), found.max()) == (0, 1)


@EVERY_SEVERITY
def test_fog_is_the_height_map_scaled_back_to_the_brightest_value(severity):
    images = draw_random(2, 5, 7, 3) // 2
    thickness, decay = FOGS[severity - 1]
    found = fog(images, severity, generators(2))
    for image, generator, foggy in zip(images, generators(2), found, strict=True):
        heights = heights_naive(generator.uniform(-1, 1, 63), decay)[:5, :7, None]
        brightest = image.max() / 255
        expected = (image / 255 + thickness * heights) * brightest / (brightest + thickness) * 255
        assert foggy == pytest.approx(np.floor(expected + 1e-6))


def test_fog_leaves_black_black():
    assert not fog(fill(0), 5, generators(1)).any()
