"""npy files from anywhere: their header and length are checked before a value is read; never a pickle."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lottery_pipeline.images.array_members import ArrayHeader, read_header
from lottery_pipeline.images.request import ImageError

_MOST_DIMENSIONS = 4


@dataclass(frozen=True)
class ArrayFile:
    """An npy file whose length agrees with its header.

    Attributes:
        path: of the file.
        shape: of the array, in C order.
        dtype: of its values; never Python objects.
        offset: bytes before the first value.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int


def find_array(path: Path) -> ArrayFile:
    """Check the header and the length of an npy file, without reading its values.

    Raises:
        ImageError: it is missing, not a file, not npy, holds Python objects, or is shorter or longer than its
            header says.
    """
    if not path.is_file():
        raise ImageError(f"{path} {'is not a file' if path.exists() else 'does not exist'}")
    try:
        with path.open("rb") as file:
            header = read_header(file, str(path))
            offset = file.tell()
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}") from error
    check_order(str(path), header)
    shape, dtype = header.shape, header.dtype
    expected, found = offset + header.nbytes, path.stat().st_size
    if found != expected:
        raise ImageError(
            f"{path} has {found} bytes, but an array of {dtype} and shape {shape} takes {expected} with its "
            "header"
        )
    return ArrayFile(path, shape, dtype, offset)


def check_order(what: str, header: ArrayHeader) -> None:
    """Raise ``ImageError`` unless an array has up to 4 dimensions in C order."""
    if header.fortran or len(header.shape) > _MOST_DIMENSIONS:
        raise ImageError(f"{what} has a shape that is not allowed; allowed are up to 4 dimensions in C order")


def map_array(file: ArrayFile) -> np.ndarray:
    """Return the values of a file of at least one value, memory-mapped and read-only."""
    return np.memmap(file.path, dtype=file.dtype, mode="r", offset=file.offset, shape=file.shape)


def check_images(what: str, shape: tuple[int, ...], dtype: np.dtype, image_shape: tuple[int, ...]) -> None:
    """Check that an array holds images of the network's size.

    Args:
        what: name of the array, for the message.
        shape: of the array.
        dtype: of its values.
        image_shape: (C, H, W) of the network's images.

    Raises:
        ImageError: it does not.
    """
    channels, height, width = image_shape
    wanted = (height, width, channels)
    if dtype != np.uint8 or len(shape) != 4 or shape[1:] != wanted:
        raise ImageError(
            f"{what} is {dtype} of shape {shape}, but the network's images are uint8 of shape (N, "
            f"{height}, {width}, {channels})"
        )


def check_labels(what: str, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Return labels as int64 ``[N]``.

    Raises:
        ImageError: one is outside the classes.
    """
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise ImageError(f"{what} holds labels from {low} to {high}; allowed are 0 to {num_classes - 1}")
    return labels.astype(np.int64)
