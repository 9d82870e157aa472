"""From any mode of Pillow to 8-bit grey or RGB, a tile at a time, which bounds what lies in between."""

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N"})
WIDE_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
TILE_PIXELS = 2**20
_TILE_BYTES = 32  # of each pixel, for what a tile goes through
_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}  # Pillow takes 4 for others
_PROGRESSIVE_BYTES = 6  # of each pixel: libjpeg keeps all coefficients of such a file

Box = tuple[int, int, int, int]


def measure_decoding(image: Image.Image, full_pixels: int) -> int:
    """Return how many bytes decoding an opened image takes at most, from its header.

    It covers the pixels as the file has them, and at the same time a copy: turned, cut, or of another mode.

    Args:
        image: not yet loaded, reduced by ``draft`` or not.
        full_pixels: its number of pixels before it was reduced.
    """
    pixels, stored = image.width * image.height, _BYTES.get(image.mode, 4)
    result = 1 if image.mode in GREY_MODES else 4
    size = pixels * (stored + max(stored, result)) + min(pixels, TILE_PIXELS) * _TILE_BYTES
    return size + (full_pixels * _PROGRESSIVE_BYTES if image.info.get("progressive") else 0)


def flatten(image: Image.Image) -> Image.Image:
    """Return an image of mode L or RGB: 16 bits are rounded to 8, transparency is laid over white."""
    mode = "L" if image.mode in GREY_MODES else "RGB"
    if image.mode == mode and not image.has_transparency_data:
        return image
    return change_mode(image, mode, _flatten_tile)


def change_mode(image: Image.Image, mode: str, change: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Return an image of another mode that a function makes, pixel by pixel, of its tiles."""
    if image.width * image.height <= TILE_PIXELS:
        return change(image)
    changed = Image.new(mode, image.size)
    for box in split_tiles(*image.size):
        changed.paste(change(image.crop(box)), box)
    return changed


def split_tiles(width: int, height: int) -> Iterator[Box]:
    """Yield boxes of ``TILE_PIXELS`` at most that cover an image, in whole rows if these are not longer."""
    columns = min(width, TILE_PIXELS)
    rows = max(1, TILE_PIXELS // columns)
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            yield left, top, min(left + columns, width), min(top + rows, height)


def write_pixels(image: Image.Image, target_chw: np.ndarray) -> None:
    """Write an image of mode L or RGB into uint8 ``[C, H, W]``, C 1 or 3."""
    if image.width * image.height <= TILE_PIXELS:
        _write_tile(image, target_chw)
        return
    for left, top, right, bottom in split_tiles(*image.size):
        _write_tile(image.crop((left, top, right, bottom)), target_chw[:, top:bottom, left:right])


def _flatten_tile(image: Image.Image) -> Image.Image:
    if image.mode in WIDE_MODES:
        wide = np.asarray(image).astype(np.int64).clip(0, 65535)
        return Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8))
    mode = "L" if image.mode in GREY_MODES else "RGB"
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == mode else image.convert(mode)


def _write_tile(image: Image.Image, target_chw: np.ndarray) -> None:
    if len(target_chw) == 1:
        target_chw[0] = np.asarray(image if image.mode == "L" else image.convert("L"))
    elif image.mode == "L":
        target_chw[:] = np.asarray(image)[None]
    else:
        target_chw[:] = np.asarray(image).transpose(2, 0, 1)
