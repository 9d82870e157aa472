"""Crops of images that stay on disk: a batch is read, padded and cropped by a thread, ahead of its step."""

from collections.abc import Iterator

import torch
from torch import Tensor

from lottery_pipeline.images.reading_ahead import read_ahead
from lottery_pipeline.images.stored import StoredImages
from lottery_pipeline.training.augmentation import Crops, pad_images


class StoredCrops:
    """The crops of an epoch, batch by batch; each is the one that ``Crops`` takes from resident images.

    Args:
        images: of the training part; they arrive on the device of the training.
        padding: pixels.
        mode: of the padding, see ``pad_images``.
        step: images from the beginning of a batch to that of the next one.
    """

    def __init__(self, images: StoredImages, padding: int, mode: str, *, step: int) -> None:
        self._images, self._padding, self._mode, self._step = images, padding, mode, step
        self._draws: tuple[Tensor, Tensor, Tensor] | None = None
        self._next: slice | None = None
        self._ahead: Iterator[Tensor] = iter(())

    def start_epoch(self, order: Tensor, tops: Tensor, lefts: Tensor) -> None:
        """Take the draws of an epoch: images and upper left corners of their crops, int64 ``[N]`` each."""
        self._draws, self._next = (order, tops, lefts), None

    def take(self, rows: slice) -> Tensor:
        """Return the crops of some places of the epoch: uint8 [n, H, W, C], rows not contiguous.

        Batch after batch has been read when it is asked for; the first of an epoch, and one out of turn, are
        waited for.

        Raises:
            ImageError: the file was changed or cut off.
        """
        if rows != self._next:
            self._ahead = read_ahead(self._read, self._list_rows(rows))
        self._next = self._shift(rows)
        return next(self._ahead)

    def _list_rows(self, rows: slice) -> Iterator[slice]:
        """Yield these places and those of all later batches."""
        assert self._draws is not None  # noqa: S101 (an epoch has been started)
        while rows.start < len(self._draws[0]):
            yield rows
            rows = self._shift(rows)

    def _shift(self, rows: slice) -> slice:
        return slice(rows.start + self._step, rows.stop + self._step, rows.step)

    def _read(self, rows: slice) -> Tensor:
        assert self._draws is not None  # noqa: S101 (an epoch has been started)
        order, tops, lefts = (draw[rows] for draw in self._draws)
        images = self._images[order].permute(0, 2, 3, 1)
        _, height, width, _ = images.shape
        crops = Crops(pad_images(images, self._padding, self._mode), height, width)
        places = crops.locate(torch.arange(len(order)), tops, lefts)
        return crops.take(places.to(images.device))
