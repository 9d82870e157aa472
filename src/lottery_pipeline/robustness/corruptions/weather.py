"""Weather: fog and brightness. Snow and frost are left out; frost needs pictures of ice."""

from collections.abc import Iterable

import numpy as np
from numpy.random import Generator

from lottery_pipeline.robustness.corruptions.pixels import draw_each, to_bytes, to_unit

# Thickness, how fast the fog's structure gets weaker from one scale to the next.
FOGS = ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))
BRIGHTENINGS = (0.05, 0.10, 0.15, 0.20, 0.30)

_FIRST_WEIGHT = 100.0


def fog(images: np.ndarray, severity: int, generators: Iterable[Generator]) -> np.ndarray:
    """Add a random height map and scale back to the brightest value; images are uint8 ``[N, H, W, C]``.

    Deviation: the map's side is the smallest power of two that covers the image; it is 32 for CIFAR.
    """
    thickness, decay = FOGS[severity - 1]
    _, height, width, _ = images.shape
    side = 1 << (max(height, width) - 1).bit_length()
    draws = draw_each(lambda generator: generator.uniform(-1, 1, size=side * side - 1), generators)
    heights = make_heights(draws, decay)[:, :height, :width, None]
    pixels = to_unit(images)
    brightest = pixels.max(axis=(1, 2, 3), keepdims=True)
    return to_bytes((pixels + thickness * heights) * brightest / (brightest + thickness))


def make_heights(draws: np.ndarray, decay: float) -> np.ndarray:
    """Return height maps by the diamond-square method, in [0, 1], with opposite borders joined.

    Args:
        draws: ``[N, S * S - 1]``, uniform in [-1, 1], used from the coarsest scale to the finest; the side S
            is a power of two.
        decay: at each finer scale the amplitude is divided by its square.

    Returns:
        ``[N, S, S]``.
    """
    count, side = len(draws), round((draws.shape[1] + 1) ** 0.5)
    heights = np.zeros((count, side, side))
    step, weight, used = side, _FIRST_WEIGHT, 0

    def disturb(sums: np.ndarray) -> np.ndarray:
        nonlocal used
        noise = draws[:, used : used + sums[0].size].reshape(sums.shape)
        used += sums[0].size
        return sums / 4 + weight**2 * noise

    while step >= 2:
        half = step // 2
        corners = heights[:, ::step, ::step]
        pairs = corners + np.roll(corners, -1, axis=1)
        heights[:, half::step, half::step] = disturb(pairs + np.roll(pairs, -1, axis=2))
        middles = heights[:, half::step, half::step]
        above_and_below = middles + np.roll(middles, 1, axis=1)
        left_and_right = corners + np.roll(corners, -1, axis=2)
        heights[:, ::step, half::step] = disturb(above_and_below + left_and_right)
        left_and_right = middles + np.roll(middles, 1, axis=2)
        above_and_below = corners + np.roll(corners, -1, axis=1)
        heights[:, half::step, ::step] = disturb(left_and_right + above_and_below)
        step, weight = half, weight / decay
    heights -= heights.min(axis=(1, 2), keepdims=True)
    return heights / heights.max(axis=(1, 2), keepdims=True)


def brightness(images: np.ndarray, severity: int) -> np.ndarray:
    """Raise the value of hue, saturation and value; images are uint8 ``[N, H, W, C]``.

    The value of a colour is its largest channel, and at equal hue and saturation the channels are
    proportional to it. So a colour is scaled by (value + c) / value, black becomes the grey c, and a grey
    image gets c added.
    """
    pixels = to_unit(images)
    value = pixels.max(axis=-1, keepdims=True)
    raised = np.minimum(value + BRIGHTENINGS[severity - 1], 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = pixels * (raised / value)
    return to_bytes(np.where(value > 0, scaled, raised))
