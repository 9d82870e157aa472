"""Per-channel mean and standard deviation of uint8 images, exact."""

import math

import torch
from torch import Tensor

from lottery_pipeline.images.stored import StoredImages

_VALUES_AT_ONCE = 2**21  # twelve bytes each while they are added up
STD_FLOOR = 1 / 255  # one grey level: a constant channel must not divide by zero


Statistics = tuple[tuple[float, ...], tuple[float, ...]]  # mean and standard deviation, by channel


class ChannelSums:
    """Sums over images that come piece by piece.

    They are whole numbers, so the result does not depend on the order or number of the images.

    Args:
        channels: of an image.
    """

    def __init__(self, channels: int) -> None:
        self._totals, self._squares, self._count = [0] * channels, [0] * channels, 0

    def add(self, images: Tensor) -> None:
        """Add images, uint8 ``[N, C, H, W]``."""
        for chunk in images.split(max(1, _VALUES_AT_ONCE // math.prod(images.shape[1:]))):
            wide = chunk.to(torch.int32)
            totals = wide.sum(dim=(0, 2, 3), dtype=torch.int64)
            squares = wide.square_().sum(dim=(0, 2, 3), dtype=torch.int64)
            self._totals = [a + b for a, b in zip(self._totals, totals.tolist(), strict=True)]
            self._squares = [a + b for a, b in zip(self._squares, squares.tolist(), strict=True)]
        self._count += images.numel() // images.shape[1]

    def measure(self) -> Statistics:
        """Return mean and population standard deviation of each channel, as ``measure_channels`` has them."""
        count = self._count
        mean = tuple(total / (255 * count) for total in self._totals)
        std = tuple(
            max(math.sqrt(count * square - total**2) / (255 * count), STD_FLOOR)
            for total, square in zip(self._totals, self._squares, strict=True)
        )
        return mean, std


def measure_channels(images: Tensor | StoredImages) -> Statistics:
    """Measure mean and population standard deviation per channel.

    Args:
        images: uint8 ``[N, C, H, W]``, at least one image.

    Returns:
        Means and standard deviations in pixel units of [0, 1]; the latter are at least ``STD_FLOOR``.
    """
    sums = ChannelSums(images.shape[1])
    for piece in [images] if isinstance(images, Tensor) else images.pieces():
        sums.add(piece)
    return sums.measure()
