"""Per-channel mean and standard deviation of uint8 images, exact."""

import math

import torch
from torch import Tensor

from lottery_pipeline.images.memory import count_per_chunk
from lottery_pipeline.images.stored import StoredImages

STD_FLOOR = 1 / 255  # one grey level: a constant channel must not divide by zero


def measure_channels(images: Tensor | StoredImages) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Measure mean and population standard deviation per channel.

    Sums are kept as whole numbers, so the result does not depend on the order or number of the images.

    Args:
        images: uint8 ``[N, C, H, W]``, at least one image.

    Returns:
        Means and standard deviations in pixel units of [0, 1]; the latter are at least ``STD_FLOOR``.
    """
    channels = images.shape[1]
    totals, squares = [0] * channels, [0] * channels
    for chunk in images.split(count_per_chunk(images[0].numel())):
        wide = chunk.to(torch.int32)
        chunk_totals = wide.sum(dim=(0, 2, 3), dtype=torch.int64)
        chunk_squares = wide.square_().sum(dim=(0, 2, 3), dtype=torch.int64)
        totals = [a + b for a, b in zip(totals, chunk_totals.tolist(), strict=True)]
        squares = [a + b for a, b in zip(squares, chunk_squares.tolist(), strict=True)]
    count = images.numel() // channels
    mean = tuple(total / (255 * count) for total in totals)
    std = tuple(
        max(math.sqrt(count * square - total**2) / (255 * count), STD_FLOOR)
        for total, square in zip(totals, squares, strict=True)
    )
    return mean, std
