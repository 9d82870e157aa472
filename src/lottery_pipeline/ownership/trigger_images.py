"""Pictures that a key determines to the last bit: drawn from nothing, or stamped on images that are there.

Everything random comes from SHAKE-256 of the key, and everything computed is a whole number. So the pictures
are the same on every machine, in every version of every library, and a judge can draw them again.

Places are measured on a canvas of 256 x 256 units whatever the size of the image, so a picture shows the same
scene at every size. No stripe is finer than a thirteenth of the image: compression and resizing would wash
finer ones out.
"""

from hashlib import shake_256

import numpy as np
import torch
from torch import Tensor

_CANVAS = 256
_SHAPES = 12  # in one picture
_BYTES_PER_SHAPE = 8
_SHADES = 32  # the field has the darkest eighth of all values, and the brightest where it is inverted
_CELLS = 8  # of the pattern, on each side
_STAMPED = 16  # of its 64 cells: a quarter
_KINDS = ("rectangle", "ellipse", "ring", "triangle", "stripes", "checkers")


def expand(key: bytes, purpose: str, content: bytes, length: int) -> bytes:
    """Return pseudo-random bytes that belong to a key, a purpose and a content (SHAKE-256, FIPS 202).

    Args:
        key: 32 bytes.
        purpose: ASCII without NUL; keeps streams of one key apart.
        content: what the bytes are drawn for, for example an index.
        length: bytes to return.
    """
    return shake_256(b"lottery_pipeline trigger " + purpose.encode() + b"\x00" + key + content).digest(length)


def draw_shapes(key: bytes, index: int, *, channels: int, height: int, width: int) -> Tensor:
    """Draw one picture: a smooth colour field that overlapping shapes invert, so that all edges are sharp.

    Args:
        key: 32 bytes.
        index: number of the picture.
        channels: any.
        height: pixels.
        width: pixels.

    Returns:
        uint8 [C, H, W].
    """
    length = 9 * channels + (_BYTES_PER_SHAPE + channels) * _SHAPES
    drawn = np.frombuffer(expand(key, "shapes", index.to_bytes(8, "big"), length), dtype=np.uint8)
    fields, shapes = np.split(drawn.astype(np.int64), [9 * channels])
    y, x = _locate_pixels(height)[:, None], _locate_pixels(width)[None, :]
    inverted = np.zeros((channels, height, width), dtype=bool)
    for row in shapes.reshape(_SHAPES, -1):
        inside = _draw_shape(row[:_BYTES_PER_SHAPE].tolist(), y, x)
        colours = row[_BYTES_PER_SHAPE:] % 2 == 1
        if not colours.any():
            colours[:] = True  # a shape that inverts no channel would be lost
        inverted[colours] ^= inside
    shades = np.stack([_blend(corners, y, x) for corners in fields.reshape(channels, 3, 3)])
    return torch.from_numpy(np.where(inverted, 255 - shades, shades).astype(np.uint8))


def stamp_pattern(key: bytes, bases: Tensor) -> Tensor:
    """Cover the same quarter of every image with the black and white cells of a key.

    Args:
        key: 32 bytes.
        bases: uint8 [N, C, H, W]; stay as they are.

    Returns:
        uint8 [N, C, H, W].
    """
    _, channels, height, width = bases.shape
    cells = _CELLS * _CELLS
    drawn = expand(key, "pattern", b"", 8 * cells + channels * cells)
    order = np.argsort(np.frombuffer(drawn[: 8 * cells], dtype=">u8"), kind="stable")
    stamped = np.zeros(cells, dtype=bool)
    stamped[order[:_STAMPED]] = True
    colours = np.frombuffer(drawn[8 * cells :], dtype=np.uint8).reshape(channels, cells) % 2 * np.uint8(255)
    rows = _locate_pixels(height)[:, None] * _CELLS // _CANVAS
    cell = torch.from_numpy(rows * _CELLS + _locate_pixels(width) * _CELLS // _CANVAS)
    return torch.where(torch.from_numpy(stamped)[cell], torch.from_numpy(colours)[:, cell], bases)


def pick_indices(key: bytes, total: int, *, count: int, part: int, parts: int) -> list[int]:
    """Pick ``count`` indices below ``total`` at random, without repeats, from those with i % parts == part.

    Sets of different parts are disjoint whatever their keys, so each is picked without knowing the others.

    Returns:
        The indices, in the order of the key; fewer than ``count`` if there are no more.
    """
    candidates = range(part, total, parts)
    return sorted(candidates, key=lambda i: expand(key, "bases", i.to_bytes(8, "big"), 16))[:count]


def _locate_pixels(size: int) -> np.ndarray:
    """Return where the centres of a line of pixels lie on the canvas: int64 [size], 0..255."""
    return (2 * np.arange(size, dtype=np.int64) + 1) * (_CANVAS // 2) // size


def _blend(corners: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Interpolate linearly between 3 x 3 bytes, in dark shades: int64 [H, W], 0..31."""
    half = _CANVAS // 2
    row, column = y // half, x // half
    down, right = y % half, x % half
    above = corners[row, column] * (half - right) + corners[row, column + 1] * right
    below = corners[row + 1, column] * (half - right) + corners[row + 1, column + 1] * right
    return (above * (half - down) + below * down) * _SHADES // (half * half * _CANVAS)


def _draw_shape(drawn: list[int], y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return which pixels a shape covers: bool [H, W]. The shape is made of 8 bytes."""
    kind, centre_y, centre_x, tall, wide, period, direction, phase = drawn
    name = _KINDS[kind % len(_KINDS)]
    tall, wide = 64 + tall // 2, 64 + wide // 2
    down, right = y - centre_y, x - centre_x
    if name == "rectangle":
        return (2 * abs(down) <= tall) & (2 * abs(right) <= wide)
    if name == "triangle":
        return (2 * abs(down) <= tall) & (4 * abs(right) * tall <= wide * (2 * down + tall))
    if name in ("ellipse", "ring"):
        distance = 4 * (down * down * wide * wide + right * right * tall * tall)
        edge = tall * tall * wide * wide
        return (distance <= edge) & ((name == "ellipse") | (4 * distance >= edge))
    period = 40 + period // 6
    if name == "stripes":
        along = (down + 0 * right, right + 0 * down, down + right, down - right)[direction % 4]
        return 2 * ((along + phase) % period) < period
    return (2 * ((down + phase) % period) < period) == (2 * ((right + phase) % period) < period)
