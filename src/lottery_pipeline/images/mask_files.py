"""Image files with mask files: the centre squares of both, resized, masks by the nearest pixel."""

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lottery_pipeline.images.decoding import FORMATS, cut_square, open_image, reserve, resize
from lottery_pipeline.images.decoding_budget import DecodingBudget
from lottery_pipeline.images.pixel_modes import change_mode, measure_decoding, write_pixels
from lottery_pipeline.images.progress import report_progress
from lottery_pipeline.images.request import ImageError
from lottery_pipeline.reproducibility.files import stat_regular

# A few pets are GIF or BMP files under the name of a JPEG.
_FORMATS = (*FORMATS, "GIF", "BMP")

Pair = tuple[str | Path, str | Path]


def read_pairs(
    files: Sequence[Pair],
    table: np.ndarray,
    *,
    side: int,
    channels: int,
    budget: DecodingBudget | None = None,
) -> tuple[Tensor, Tensor]:
    """Decode images and masks in threads.

    Args:
        files: an image and its mask each.
        table: uint8 ``[256]``, the class of each value of a mask.
        side: pixels of the result.
        channels: 1 or 3.
        budget: memory for decoding; by default what is free, with a limit.

    Returns:
        uint8 ``[N, C, side, side]`` and int64 ``[N, side, side]``.

    Raises:
        ImageError: a file is broken or too large, or a mask has another size than its image.
    """
    pixels = np.empty((len(files), channels, side, side), dtype=np.uint8)
    masks = np.empty((len(files), side, side), dtype=np.uint8)
    # The masks take eight bytes for each pixel in the end.
    budget = budget or DecodingBudget(reserved=pixels.nbytes + 9 * masks.nbytes)

    def read_one(place: int) -> int:
        path, mask_path = files[place]
        try:
            _read_pair(path, mask_path, table, pixels[place], masks[place], budget)
        except Exception as error:  # decoders raise almost anything on damaged bytes
            raise ImageError(f"{path} with the mask {mask_path} cannot be read: {error}") from error
        return 1

    pool = ThreadPoolExecutor(max_workers=os.cpu_count(), thread_name_prefix="decode")
    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            finished = pool.map(read_one, range(len(files)))
            report_progress(finished, total=len(files), label="reading images and masks")
    finally:
        pool.shutdown(cancel_futures=True)
    return torch.from_numpy(pixels), torch.from_numpy(masks).long()


def _read_pair(
    path: str | Path,
    mask_path: str | Path,
    table: np.ndarray,
    pixels: np.ndarray,
    classes: np.ndarray,
    budget: DecodingBudget,
) -> None:
    for one in (path, mask_path):
        stat_regular(one)
    with ExitStack() as held:
        image = held.enter_context(open_image(path, _FORMATS))
        mask = held.enter_context(open_image(mask_path, _FORMATS))
        if image.size != mask.size:
            raise ImageError(f"the image has {image.size} pixels, and its mask {mask.size}")
        # At once: two threads that each wait for their second half would wait forever.
        size = sum(measure_decoding(one, one.width * one.height) for one in (image, mask))
        reserve(path, size, budget, held)
        square = cut_square(image)
        for mode in ("RGB", "L")[: 2 if len(pixels) == 1 else 1]:  # through colour, as torchvision goes
            if square.mode != mode:
                square = change_mode(square, mode, partial(Image.Image.convert, mode=mode))
        write_pixels(resize(square, classes.shape[0]), pixels)
        nearest = resize(cut_square(mask), classes.shape[0], Image.Resampling.NEAREST)
        classes[:] = table[np.asarray(nearest)]
