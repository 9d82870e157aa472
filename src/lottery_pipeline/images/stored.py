"""Images that stay in their file: a batch of them is read when it is asked for."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from lottery_pipeline.images.memory import check_memory
from lottery_pipeline.images.pixel_file import PixelFile
from lottery_pipeline.reproducibility.files import name_writer
from lottery_pipeline.reproducibility.storage import faults_explained

# What is held of a file that is read from end to end. The C library gives memory back at once if it was taken
# in blocks of more than 32 MiB.
PIECE_BYTES = 36 * 2**20


class StoredImages:
    """uint8 images ``[N, C, H, W]`` that stay in a file, in place of a tensor with these images.

    An index reads images and gives a tensor of them, on the device that ``to`` has named.

    Args:
        file: where they lie, one after the other.
        offset: of the first one, in bytes.
        shape: N, C, H and W.

    Attributes:
        dtype: of what is read.
        device: where it arrives.
    """

    dtype = torch.uint8

    def __init__(self, file: PixelFile, offset: int, shape: Sequence[int]) -> None:
        self.file, self.device = file, torch.device("cpu")
        self._offset, self._image_shape = offset, tuple(shape[1:])
        self._rows: range | Tensor = range(shape[0])

    @property
    def shape(self) -> torch.Size:
        """N, C, H and W."""
        return torch.Size([len(self), *self._image_shape])

    @property
    def image_bytes(self) -> int:
        """Bytes of one image."""
        return self._image_shape[0] * self._image_shape[1] * self._image_shape[2]

    @property
    def nbytes(self) -> int:
        """Bytes of all images."""
        return len(self) * self.image_bytes

    def __len__(self) -> int:
        return len(self._rows)

    def dim(self) -> int:
        """Return 4."""
        return 4

    def numel(self) -> int:
        """Return the number of values of all images."""
        return self.nbytes

    def to(self, device: torch.device | str) -> Self:
        """Return the same images, which arrive on a device when they are read."""
        there = copy(self)
        there.device = torch.device(device)
        return there

    def cpu(self) -> Self:
        """Return the same images, which arrive on the CPU when they are read."""
        return self.to("cpu")

    def select(self, indices: Tensor) -> Self:
        """Return some of the images, in the order of their indices, int64 ``[n]``; none is read."""
        chosen = copy(self)
        chosen._rows = self._find_rows(indices)
        return chosen

    def split(self, count: int) -> Iterator[Tensor]:
        """Read ``count`` images after ``count`` images: uint8 ``[count, C, H, W]``; the last may be fewer."""
        for start in range(0, len(self), count):
            yield self[start : start + count]

    def pieces(self) -> Iterator[Tensor]:
        """Read all images, as many at a time as take 36 MiB, at least one."""
        return self.split(max(1, PIECE_BYTES // self.image_bytes))

    def __getitem__(self, index: int | slice | Tensor) -> Tensor:
        """Read images: one ``[C, H, W]``, or ``[n, C, H, W]`` in the order of their indices.

        Raises:
            ImageError: the file was changed or cut off, or what is asked for does not fit in memory.
        """
        if isinstance(index, int):
            place = range(len(self))[index]
            return self._read([place if isinstance(self._rows, range) else int(self._rows[place])])[0]
        rows = self._find_rows(index)
        return self._read(rows if isinstance(rows, range) else rows.tolist())

    def _find_rows(self, index: slice | Tensor) -> range | Tensor:
        """Return which images of the file are meant."""
        if isinstance(index, slice):
            return self._rows[index]
        index = index.cpu()
        if index.dtype == torch.bool:
            index = index.nonzero().squeeze(1)
        if len(index) and not 0 <= int(index.min()) <= int(index.max()) < len(self):
            raise IndexError(f"the {len(self)} images have no image of an index asked for")
        return self._rows[index] if isinstance(self._rows, Tensor) else index

    def _read(self, rows: Sequence[int]) -> Tensor:
        size, count = self.image_bytes, len(rows)
        if count * size > PIECE_BYTES:
            check_memory(count * size, f"{count} images that are read at once from {self.file.path}")
        shape = (count, *self._image_shape)
        # From pinned memory the copy to a device does not wait for what the device still has to do.
        images = torch.empty(shape, dtype=torch.uint8, pin_memory=self.device.type == "cuda")
        if count:
            self.file.check_unchanged()
            target, start = view_bytes(images), 0
            for stop in range(1, count + 1):
                if stop == count or rows[stop] != rows[stop - 1] + 1:  # neighbours are read at once
                    place = self._offset + rows[start] * size
                    self.file.read_into(target[start * size : stop * size], place)
                    start = stop
        return images.to(self.device, non_blocking=True)


def view_bytes(images: Tensor) -> memoryview:
    """Return the bytes of contiguous images on the CPU, at least one, to be read or written in place."""
    return memoryview(images.numpy().data).cast("B")


def store_for_now(parts: Iterable[Tensor], shape: Sequence[int], *, beside: Path) -> StoredImages:
    """Write images to a file that vanishes when nobody reads them any more.

    Args:
        parts: uint8 ``[n, C, H, W]`` each.
        shape: of all of them together.
        beside: a file in whose folder there is room for them.

    Raises:
        StorageError: the file cannot be written.
    """
    prefix, folder = name_writer(beside), beside.parent
    with (
        faults_explained(folder),
        tempfile.NamedTemporaryFile(prefix=prefix, suffix=".tmp", dir=folder) as file,
    ):
        for part in parts:
            file.write(part.cpu().numpy().data)
        file.flush()
        return StoredImages(PixelFile(file.name), 0, shape)
