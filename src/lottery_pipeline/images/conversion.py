"""Resizing and channel conversion of images that are already arrays; the result is the same as for files."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lottery_pipeline.images.memory import check_memory, count_per_chunk

# ITU-R 601 luma in 16-bit fixed point, as Pillow computes it.
LUMA_WEIGHTS = (19595, 38470, 7471)


def fit_images(
    images: Tensor, *, image_size: int | None, channels: int | None, indices: np.ndarray | None = None
) -> Tensor:
    """Bring images to one size and number of channels.

    Args:
        images: uint8 ``[N, C, H, W]`` with C 1 or 3.
        image_size: side that the centre square is resized to (bilinear, antialiased); ``None``: unchanged.
        channels: 1 or 3; ``None``: unchanged.
        indices: int64 ``[n]``, which of the images to take; ``None``: all.

    Returns:
        uint8 ``[n, channels, image_size, image_size]``, contiguous.

    Raises:
        ImageError: the result does not fit in memory.
    """
    old_channels, height, width = images.shape[1:]
    new_height, new_width = (height, width) if image_size is None else (image_size, image_size)
    count = len(images) if indices is None else len(indices)
    shape = (count, channels or old_channels, new_height, new_width)
    if indices is None and shape == tuple(images.shape):
        return images.contiguous()
    check_memory(math.prod(shape), f"{count} images of {new_width}x{new_height} pixels")
    fitted = torch.empty(shape, dtype=torch.uint8)
    step = count_per_chunk(max(images[0].numel(), fitted[0].numel()))
    for start in range(0, count, step):
        chosen = slice(start, start + step)
        source = images[chosen if indices is None else torch.from_numpy(indices[chosen])]
        narrow = _to_grey(source) if shape[1] < old_channels else source
        fitted[chosen] = narrow if image_size is None else _fit_square(narrow, image_size)
    return fitted


def _to_grey(images: Tensor) -> Tensor:
    weights = torch.tensor(LUMA_WEIGHTS, dtype=torch.int32).view(1, 3, 1, 1)
    luma = (images.to(torch.int32) * weights).sum(dim=1, keepdim=True, dtype=torch.int32)
    return ((luma + 2**15) >> 16).to(torch.uint8)


def _fit_square(images: Tensor, size: int) -> Tensor:
    height, width = images.shape[2:]
    if (height, width) == (size, size):
        return images
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = images[:, :, top : top + side, left : left + side].contiguous()
    return interpolate(square, size=(size, size), mode="bilinear", antialias=True)
