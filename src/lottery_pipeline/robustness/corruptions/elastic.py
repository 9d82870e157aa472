"""Elastic transform: a random affine map, then a smooth random displacement of every pixel."""

from collections.abc import Iterable

import numpy as np
from numpy.random import Generator
from scipy.ndimage import gaussian_filter

from lottery_pipeline.robustness.corruptions.pixels import to_bytes, to_unit

# In units of the shorter side: size of the displacement, its smoothness, reach of the affine map.
ELASTICITIES = ((0.0, 0.0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03))


def elastic_transform(images: np.ndarray, severity: int, generators: Iterable[Generator]) -> np.ndarray:
    """Stretch images like rubber; images are uint8 ``[N, H, W, C]``.

    Deviations: lengths are in units of the shorter side (32 for CIFAR), so that images need not be square;
    the affine map is interpolated exactly and not at 32nds of a pixel.
    """
    _, height, width, _ = images.shape
    strength, smoothness, reach = (min(height, width) * value for value in ELASTICITIES[severity - 1])
    affine_draws, draws = zip(
        *(
            (generator.uniform(-reach, reach, (3, 2)), generator.uniform(-1, 1, (2, height, width)))
            for generator in generators
        ),
        strict=True,
    )
    moved = sample(to_unit(images), *_find_sources(np.stack(affine_draws), height, width), mirrored=True)
    sigma = (0, 0, smoothness, smoothness)
    smooth = gaussian_filter(np.stack(draws), sigma=sigma, mode="reflect", truncate=3.0) * strength
    rows, columns = np.mgrid[:height, :width]
    return to_bytes(sample(moved, rows + smooth[:, 0], columns + smooth[:, 1], mirrored=False))


def _find_sources(draws: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return from which row and column each pixel comes, ``[N, H, W]`` each.

    Three corners of a square about the middle are moved by the draws ``[N, 3, 2]`` (x, y).
    """
    middle, half = np.array([width // 2, height // 2]), min(height, width) // 3
    corners = middle + half * np.array([[1, 1], [1, -1], [-1, -1]])
    targets = np.concatenate([corners + draws, np.ones((len(draws), 3, 1))], axis=2)
    back = np.linalg.solve(targets, np.broadcast_to(corners.astype(np.float64), (len(draws), 3, 2)))
    rows, columns = np.mgrid[:height, :width]
    along_x, along_y, constant = (back[:, index, :, None, None] for index in range(3))
    sources = along_x * columns + along_y * rows + constant
    return sources[:, 1], sources[:, 0]


def sample(images: np.ndarray, rows: np.ndarray, columns: np.ndarray, *, mirrored: bool) -> np.ndarray:
    """Read images between their pixels by bilinear interpolation.

    Args:
        images: ``[N, H, W, C]``, numbers.
        rows: ``[N, H, W]``, where each result is read.
        columns: ``[N, H, W]``.
        mirrored: beyond the border the image is mirrored, about the centre of the border pixel if True, else
            about its outer edge.

    Returns:
        ``[N, H, W, C]``.
    """
    count, height, width, _ = images.shape
    top, left = np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    each = np.arange(count)[:, None, None]
    upper, lower = (_fold(top + step, height, mirrored) for step in (0, 1))
    first, second = (_fold(left + step, width, mirrored) for step in (0, 1))
    above = images[each, upper, first] * (1 - right) + images[each, upper, second] * right
    below = images[each, lower, first] * (1 - right) + images[each, lower, second] * right
    return above * (1 - down) + below * down


def _fold(places: np.ndarray, size: int, mirrored: bool) -> np.ndarray:
    """Return places inside [0, size) for places anywhere on a mirrored axis."""
    period = 2 * size - 2 if mirrored else 2 * size
    places = places % period
    return np.minimum(places, (period if mirrored else period - 1) - places)
