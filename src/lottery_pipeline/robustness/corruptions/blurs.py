"""Blurs: lack of focus, frosted glass, motion and zoom."""

from collections.abc import Iterable
from math import ceil

import numpy as np
from numpy.random import Generator
from scipy.ndimage import correlate, gaussian_filter

from lottery_pipeline.robustness.corruptions.pixels import draw_each, to_bytes, to_unit

# Radius of the disc, deviation of the normal curve that softens its edge.
DEFOCUS_DISCS = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))
# Deviation of the normal blur, rounds of moving pixels.
GLASS_ROUNDS = ((0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2))
# Radius, deviation of the weights along the path.
MOTION_PATHS = ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5))
MOTION_DEGREES = 45
ZOOM_ENDS = (1.06, 1.11, 1.16, 1.21, 1.26)
ZOOM_STEP = 0.01

_DISC_REACH = 2


def defocus_blur(images: np.ndarray, severity: int) -> np.ndarray:
    """Convolve with a disc whose edge is softened by a 3 x 3 normal kernel; images are ``[N, H, W, C]``.

    Pixels beyond the border are mirrored without repeating the border itself, as in the published files.
    """
    kernel = make_disc(*DEFOCUS_DISCS[severity - 1])
    return to_bytes(correlate(to_unit(images), kernel[None, :, :, None], mode="mirror"))


def make_disc(radius: float, softness: float) -> np.ndarray:
    """Return the softened disc ``[5, 5]``, of sum 1; its radius is below 2 pixels."""
    offsets = np.arange(-_DISC_REACH, _DISC_REACH + 1)
    disc = (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(np.float64)
    curve = np.exp(-np.array([1.0, 0.0, 1.0]) / (2 * softness**2))
    curve /= curve.sum()
    return correlate(disc / disc.sum(), curve[:, None] * curve, mode="constant")


def glass_blur(images: np.ndarray, severity: int, generators: Iterable[Generator]) -> np.ndarray:
    """Blur, move pixels by at most one place, blur again; images are uint8 ``[N, H, W, C]``.

    The paper speaks of swapping neighbours. The program behind the published files copies instead: a pixel
    takes the value of itself or of its upper, left or upper left neighbour, and the neighbour keeps its own.
    As those are visited later, all copies of a round are one gathering. The two uppermost rows and the two
    leftmost columns never move. We do as the published files.
    """
    deviation, rounds = GLASS_ROUNDS[severity - 1]
    count, height, width, _ = images.shape
    blur = {"sigma": (0, deviation, deviation, 0), "mode": "nearest", "truncate": 4.0}
    pixels = to_bytes(gaussian_filter(to_unit(images), **blur))
    size = (rounds, 2, height, width)
    moves = draw_each(lambda generator: generator.integers(-1, 1, size=size), generators)
    moves[:, :, :, :2, :] = 0
    moves[:, :, :, :, :2] = 0
    each, row, column = np.ogrid[:count, :height, :width]
    for index in range(rounds):
        pixels = pixels[each, row + moves[:, index, 0], column + moves[:, index, 1]]
    return to_bytes(gaussian_filter(to_unit(pixels), **blur))


def motion_blur(images: np.ndarray, severity: int, generators: Iterable[Generator]) -> np.ndarray:
    """Smear each image along a line of its own angle within 45 degrees; images are uint8 ``[N, H, W, C]``.

    As ImageMagick does: 2 radius + 1 weights of half a normal curve, each at the nearest whole pixel of a
    path that begins in the pixel itself; the border is repeated; the result is rounded. Deviation: sums are
    of float64.
    """
    radius, deviation = MOTION_PATHS[severity - 1]
    count, height, width, _ = images.shape
    limit = np.deg2rad(MOTION_DEGREES)
    angles = draw_each(lambda generator: generator.uniform(-limit, limit, size=1), generators)
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * deviation**2))
    weights /= weights.sum()
    downs = np.ceil(steps * np.sin(angles) - 0.5).astype(np.int64)
    rights = np.ceil(steps * np.cos(angles) - 0.5).astype(np.int64)
    each, row, column = np.ogrid[:count, :height, :width]
    smeared = np.zeros(images.shape)
    for weight, down, right in zip(weights, downs.T, rights.T, strict=True):
        rows = (row + down[:, None, None]).clip(0, height - 1)
        columns = (column + right[:, None, None]).clip(0, width - 1)
        smeared += weight * images[each, rows, columns]
    return np.rint(smeared).astype(np.uint8)


def zoom_blur(images: np.ndarray, severity: int) -> np.ndarray:
    """Average an image with itself at rising zoom; images are uint8 ``[N, H, W, C]``.

    As in the published files, a zoomed side is rounded to whole pixels. So an image of 8 x 8 stays as it is
    at severity 1, and one of 4 x 4 also at severity 2. Deviations: height and width are zoomed each by its
    own size, so that images need not be square; sums are of float64.
    """
    _, height, width, _ = images.shape
    pixels = np.ascontiguousarray(to_unit(images).transpose(0, 3, 1, 2))
    zooms = np.arange(1, ZOOM_ENDS[severity - 1], ZOOM_STEP)
    total = pixels.copy()
    for zoom in zooms:
        total += make_zoom(height, zoom) @ pixels @ make_zoom(width, zoom).T
    return to_bytes(total.transpose(0, 2, 3, 1) / (len(zooms) + 1))


def make_zoom(size: int, zoom: float) -> np.ndarray:
    """Return the linear interpolation ``[size, size]`` that zooms one axis about its middle.

    The middle ``ceil(size / zoom)`` places are spread over the whole size, and what is too long is trimmed
    at both ends.
    """
    cropped = ceil(size / zoom)
    zoomed = round(cropped * zoom)
    places = (np.arange(size) + (zoomed - size) // 2) * (cropped - 1) / (zoomed - 1)
    lower = np.minimum(places.astype(np.int64), cropped - 2)
    share, start, index = places - lower, (size - cropped) // 2, np.arange(size)
    matrix = np.zeros((size, size))
    matrix[index, start + lower] = 1 - share
    matrix[index, start + lower + 1] = share
    return matrix
