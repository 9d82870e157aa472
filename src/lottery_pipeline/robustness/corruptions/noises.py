"""Noises: each value of each pixel is disturbed on its own."""

from collections.abc import Iterable

import numpy as np
from numpy.random import Generator

from lottery_pipeline.robustness.corruptions.pixels import draw_each, to_bytes, to_unit

GAUSSIAN_DEVIATIONS = (0.04, 0.06, 0.08, 0.09, 0.10)
SHOT_PHOTONS = (500, 250, 100, 75, 50)
IMPULSE_SHARES = (0.01, 0.02, 0.03, 0.05, 0.07)


def gaussian_noise(images: np.ndarray, severity: int, generators: Iterable[Generator]) -> np.ndarray:
    """Add normal noise of one standard deviation (pixels in [0, 1]); images are uint8 ``[N, H, W, C]``."""
    noise = draw_each(lambda generator: generator.standard_normal(images.shape[1:]), generators)
    return to_bytes(to_unit(images) + GAUSSIAN_DEVIATIONS[severity - 1] * noise)


def shot_noise(images: np.ndarray, severity: int, generators: Iterable[Generator]) -> np.ndarray:
    """Count photons: a value x becomes Poisson(photons x) / photons; images are uint8 ``[N, H, W, C]``."""
    photons = SHOT_PHOTONS[severity - 1]
    expected = iter(to_unit(images) * photons)
    counts = draw_each(lambda generator: generator.poisson(next(expected)), generators)
    return to_bytes(counts / photons)


def impulse_noise(images: np.ndarray, severity: int, generators: Iterable[Generator]) -> np.ndarray:
    """Set a share of the values to 0 or 255, either with probability 1/2; images are ``[N, H, W, C]``.

    The channels of a pixel are hit independently of one another, as in the published files.
    """
    draws = draw_each(lambda generator: generator.random((2, *images.shape[1:])), generators)
    hit, extreme = draws[:, 0] < IMPULSE_SHARES[severity - 1], np.where(draws[:, 1] < 0.5, 255, 0)
    return np.where(hit, extreme, images).astype(np.uint8)
