"""Drawing canvases: digits pasted by an affine map onto clutter, with mask and points.

In NumPy: torch would split the many small operations among threads, and on a busy machine with two cores all
canvases took 36 s with them and 2 s without.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lottery_pipeline.images.targets import IGNORED, POINTS_PER_PIXEL, lies_inside
from lottery_pipeline.reproducibility.seeds import derive_seed

MOST_DIGITS = 4
# Shares of the side of a canvas, but for the angle in degrees and the ratio of width to height.
SMALL_SIZES, LARGE_SIZES = (0.25, 0.40), (0.45, 0.65)
PLACES, ANGLES, RATIOS = (0.2, 0.8), (-20.0, 20.0), (0.8, 1.25)
GROUND_COLOURS, DIGIT_COLOURS = (0.1, 0.4), (0.5, 1.0)  # of full brightness
BLOTS, BLOT_STRENGTH, GRAIN_STRENGTH = 6, 0.25, 0.08  # blots across a canvas; changes of the ground
FAINT, SOLID = 0.2, 0.6  # ink that shows nothing; ink that covers
BARELY, MOSTLY = 0.25, 0.75  # covered less: not the digit; covered more: the digit; between: a soft edge
# Corners and centre of a box, in its own sides.
_CORNERS = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5], [0.0, 0.0]])
_CANVASES_PER_CHUNK = 64


class Composed(NamedTuple):
    """Canvases and all their labels.

    Attributes:
        pixels: uint8 ``[n, 3, side, side]``.
        masks: int64 ``[n, side, side]``: class of the digit + 1, 0 for the ground, 255 on soft edges.
        points: int64 ``[n, 5, 3]``: corners and centre of the largest digit's box, each x, y, visibility.
    """

    pixels: Tensor
    masks: Tensor
    points: Tensor


class Plan(NamedTuple):
    """What is to be drawn on n canvases. The last digit of each is the largest, and lies on top.

    Attributes:
        digits: numbers of the source digits: int64 ``[n, 4]``.
        present: whether they are drawn: bool ``[n, 4]``.
        middles: x and y of their middles, pixels: ``[n, 4, 2]``.
        axes: the sides of their boxes, rightwards and downwards, as vectors in pixels: ``[n, 4, 2, 2]``.
        colours: of the digits, 0 to 1: ``[n, 4, 3]``.
        ground: what lies behind them, 0 to 1: ``[n, 3, side, side]``.
    """

    digits: np.ndarray
    present: np.ndarray
    middles: np.ndarray
    axes: np.ndarray
    colours: np.ndarray
    ground: np.ndarray


def compose_canvases(
    ink: np.ndarray,
    classes: np.ndarray,
    numbers: np.ndarray,
    largest: np.ndarray,
    pools: Sequence[np.ndarray],
    *,
    side: int,
    seed: int,
) -> Composed:
    """Draw canvases. Each depends on the seed, its own number, largest digit and pool alone.

    Args:
        ink: the source digits: uint8 ``[D, 8, 8]``.
        classes: of the source digits: int64 ``[D]``.
        numbers: of the canvases: int64 ``[n]``.
        largest: the source digit that is largest on each canvas: int64 ``[n]``.
        pools: for each canvas, the source digits that the others are drawn from.
        side: of a canvas, pixels.
        seed: of everything that is drawn.
    """
    count = len(numbers)
    pixels = np.empty((count, 3, side, side), dtype=np.uint8)
    masks = np.empty((count, side, side), dtype=np.int64)
    points = np.empty((count, len(_CORNERS), 2))
    for start in range(0, count, _CANVASES_PER_CHUNK):
        chunk = slice(start, start + _CANVASES_PER_CHUNK)
        plan = _plan(numbers[chunk], largest[chunk], pools[chunk], side, seed)
        pixels[chunk], masks[chunk] = _paint(plan, ink, classes, side)
        right, down = plan.axes[:, -1, :1], plan.axes[:, -1, 1:]
        points[chunk] = plan.middles[:, -1, None] + _CORNERS[:, :1] * right + _CORNERS[:, 1:] * down
    labels = torch.zeros((count, len(_CORNERS), 3), dtype=torch.int64)
    labels[..., :2] = torch.from_numpy(np.rint(points * POINTS_PER_PIXEL).astype(np.int64))
    labels[..., 2] = lies_inside(labels, (side, side))
    return Composed(torch.from_numpy(pixels), torch.from_numpy(masks), labels)


def _plan(
    numbers: np.ndarray, largest: np.ndarray, pools: Sequence[np.ndarray], side: int, seed: int
) -> Plan:
    """Draw where what goes; in the same order for every canvas, whatever is on it."""
    count, last = len(numbers), MOST_DIGITS - 1
    digits = np.empty((count, MOST_DIGITS), dtype=np.int64)
    shown = np.empty(count, dtype=np.int64)
    shapes = np.empty((count, 5, MOST_DIGITS))
    colours = np.empty((count, MOST_DIGITS + 1, 3))
    blots, grain = np.empty((count, 3, BLOTS, BLOTS)), np.empty((count, 3, side, side))
    for row, (number, pool) in enumerate(zip(numbers.tolist(), pools, strict=True)):
        generator = np.random.default_rng(derive_seed(seed, "canvas", number))
        shown[row] = generator.integers(1, MOST_DIGITS + 1)
        digits[row] = pool[generator.integers(len(pool), size=MOST_DIGITS)]
        for target in (shapes, colours, blots, grain):
            generator.random(out=target[row])
    digits[:, last] = largest
    present = np.arange(MOST_DIGITS) >= MOST_DIGITS - shown[:, None]
    sizes = _stretch(shapes[:, 0], SMALL_SIZES)
    sizes[:, last] = _stretch(shapes[:, 0, last], LARGE_SIZES)
    angles, ratios = np.deg2rad(_stretch(shapes[:, 1], ANGLES)), np.sqrt(_stretch(shapes[:, 2], RATIOS))
    cosines, sines = np.cos(angles), np.sin(angles)
    rightwards = np.stack([cosines, sines], axis=2) * (side * sizes * ratios)[..., None]
    downwards = np.stack([-sines, cosines], axis=2) * (side * sizes / ratios)[..., None]
    middles = side * _stretch(np.moveaxis(shapes[:, 3:], 1, 2), PLACES)
    ground = _stretch(colours[:, last + 1], GROUND_COLOURS)[..., None, None]
    ground = ground + BLOT_STRENGTH * _enlarge(2 * blots - 1, side) + GRAIN_STRENGTH * (2 * grain - 1)
    return Plan(
        digits,
        present,
        middles,
        np.stack([rightwards, downwards], axis=2),
        _stretch(colours[:, :MOST_DIGITS], DIGIT_COLOURS),
        ground.clip(0, 1),
    )


def _stretch(values: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    return bounds[0] + (bounds[1] - bounds[0]) * values


def _enlarge(blots: np.ndarray, side: int) -> np.ndarray:
    """Enlarge ``[n, 3, cells, cells]`` to a side in pixels, linearly between the middles of cells."""
    cells = blots.shape[-1]
    places = ((np.arange(side) + 0.5) * cells / side - 0.5).clip(0, cells - 1)
    low = places.astype(np.int64).clip(0, cells - 2)
    share = places - low
    rows = blots[:, :, low] * (1 - share)[:, None] + blots[:, :, low + 1] * share[:, None]
    return rows[..., low] * (1 - share) + rows[..., low + 1] * share


def _paint(plan: Plan, ink: np.ndarray, classes: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Lay the digits onto the ground, one after the other: pixels and masks."""
    pixels = plan.ground.copy()
    masks = np.zeros((len(pixels), side, side), dtype=np.int64)
    padded = np.pad(ink / 255, ((0, 0), (1, 1), (1, 1)))
    for layer in range(MOST_DIGITS):
        there = np.flatnonzero(plan.present[:, layer])
        digit = plan.digits[there, layer]
        values = _warp(padded, digit, plan.middles[there, layer], plan.axes[there, layer], side)
        cover = ((values - FAINT) / (SOLID - FAINT)).clip(0, 1)
        below = pixels[there]
        pixels[there] = below + cover[:, None] * (plan.colours[there, layer, :, None, None] - below)
        mask = np.where(cover > BARELY, IGNORED, masks[there])
        masks[there] = np.where(cover >= MOSTLY, classes[digit, None, None] + 1, mask)
    return np.rint(pixels * 255).astype(np.uint8), masks


def _warp(
    padded: np.ndarray, digit: np.ndarray, middles: np.ndarray, axes: np.ndarray, side: int
) -> np.ndarray:
    """Return the ink of a digit at every pixel of its canvas: ``[n, side, side]``, linear between cells.

    Args:
        padded: ink of all source digits, with a blank cell on each side: ``[D, cells + 2, cells + 2]``.
        digit: which of them: ``[n]``.
        middles: where their middles go: ``[n, 2]``.
        axes: the sides of their boxes: ``[n, 2, 2]``.
        side: of a canvas, pixels.
    """
    width = padded.shape[-1]
    cells, last = width - 2, width - 1
    (right_x, right_y), (down_x, down_y) = axes[:, 0].T, axes[:, 1].T
    area = right_x * down_y - right_y * down_x
    places = np.arange(side) + 0.5
    x, y = places - middles[:, :1], places - middles[:, 1:]
    # Column and row in the padded digit, where the middle of the box is at half of the last one.
    columns = (
        cells * (x * (down_y / area)[:, None])[:, None] - cells * (y * (down_x / area)[:, None])[..., None]
    )
    rows = (
        cells * (y * (right_x / area)[:, None])[..., None] - cells * (x * (right_y / area)[:, None])[:, None]
    )
    columns, rows = (columns + last / 2).clip(0, last), (rows + last / 2).clip(0, last)
    left, top = columns.astype(np.int64).clip(0, last - 1), rows.astype(np.int64).clip(0, last - 1)
    columns, rows = columns - left, rows - top
    first = left + width * (top + width * digit[:, None, None])
    flat = padded.reshape(-1)
    upper = flat[first] + columns * (flat[first + 1] - flat[first])
    lower = flat[first + width] + columns * (flat[first + width + 1] - flat[first + width])
    return upper + rows * (lower - upper)
