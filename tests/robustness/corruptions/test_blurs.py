import numpy as np
import pytest

from lottery_pipeline.robustness.corruptions.blurs import (
    DEFOCUS_DISCS,
    GLASS_ROUNDS,
    MOTION_PATHS,
    defocus_blur,
    glass_blur,
    make_disc,
    make_zoom,
    motion_blur,
    zoom_blur,
)
from tests.reference.corruptions_naive import defocus_naive, glass_naive, motion_naive, zoom_naive
from tests.robustness.corruptions.pictures import draw_random, fill, generators

EVERY_SEVERITY = pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])


@EVERY_SEVERITY
@pytest.mark.parametrize("value", [0, 1, 77, 254, 255])
def test_every_blur_leaves_a_constant_image_as_it_is(severity, value):
    image = fill(value, 7, 7)
    assert np.array_equal(defocus_blur(image, severity), image)
    assert np.array_equal(zoom_blur(image, severity), image)
    assert np.array_equal(glass_blur(image, severity, generators(1)), image)
    assert np.array_equal(motion_blur(image, severity, generators(1)), image)


def test_the_sharpest_disc_is_a_soft_point_and_the_fourth_a_plus():
    side = np.exp(-1 / (2 * 0.4**2))
    curve = np.array([0, side, 1, side, 0]) / (1 + 2 * side)
    assert make_disc(*DEFOCUS_DISCS[0]) == pytest.approx(curve[:, None] * curve)
    plus = np.zeros((5, 5))
    plus[2, 1:4] = plus[1:4, 2] = 1 / 5
    assert make_disc(*DEFOCUS_DISCS[3]) == pytest.approx(plus, abs=1e-5)
    box = np.pad(np.full((3, 3), 1 / 9), 1)
    assert make_disc(*DEFOCUS_DISCS[4]) == pytest.approx(box, abs=1e-9)


@EVERY_SEVERITY
@pytest.mark.parametrize("size", [(4, 4), (5, 7)])
def test_defocus_blur_is_the_plain_convolution(severity, size):
    images = draw_random(2, *size, 3)
    expected = [defocus_naive(image, make_disc(*DEFOCUS_DISCS[severity - 1])) for image in images]
    assert np.array_equal(defocus_blur(images, severity), expected)


@EVERY_SEVERITY
def test_glass_blur_is_that_of_copying_pixel_after_pixel(severity):
    images = draw_random(2, 9, 7, 3)
    deviation, rounds = GLASS_ROUNDS[severity - 1]
    moves = [generator.integers(-1, 1, size=(rounds, 2, 9, 7)) for generator in generators(2)]
    expected = [glass_naive(image, move, deviation) for image, move in zip(images, moves, strict=True)]
    assert np.array_equal(glass_blur(images, severity, generators(2)), expected)


def test_the_weakest_glass_blur_only_moves_values_and_leaves_the_first_rows_and_columns():
    image = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1)
    found = glass_blur(image, 1, generators(1))
    moves = image.astype(int) - found
    assert set(np.unique(moves[0, 2:, 2:])) == {0, 1, 8, 9}
    assert not moves[0, :2].any()
    assert not moves[0, :, :2].any()


@EVERY_SEVERITY
@pytest.mark.parametrize("size", [(4, 4), (6, 9)])
def test_motion_blur_is_the_plain_sum_along_the_path(severity, size):
    images = draw_random(3, *size, 3)
    limit = np.pi / 4
    angles = [float(generator.uniform(-limit, limit, size=1)[0]) for generator in generators(3)]
    path = MOTION_PATHS[severity - 1]
    expected = [motion_naive(image, angle, *path) for image, angle in zip(images, angles, strict=True)]
    assert np.array_equal(motion_blur(images, severity, generators(3)), expected)


@EVERY_SEVERITY
@pytest.mark.parametrize("size", [4, 8, 28, 32])
def test_zoom_blur_is_the_mean_of_the_images_that_scipy_enlarges(severity, size):
    images = draw_random(2, size, size, 3)
    zooms = np.arange(1, (1.06, 1.11, 1.16, 1.21, 1.26)[severity - 1], 0.01).tolist()
    expected = np.stack([zoom_naive(image, zooms) for image in images])
    found = zoom_blur(images, severity)
    assert np.abs(found.astype(int) - expected).max() <= 1  # the order of summation
    assert (found != expected).mean() < 0.001


def test_zoom_keeps_a_ramp_a_ramp_and_its_middle_in_place():
    ramp = np.arange(9.0)
    zoomed = make_zoom(9, 1.25) @ ramp
    steps = np.diff(zoomed)
    assert steps == pytest.approx(np.full(8, steps[0]))
    assert 0.7 < steps[0] < 0.9
    assert make_zoom(9, 1.0) == pytest.approx(np.eye(9))
