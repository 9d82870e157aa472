"""Arrays in npz archives from anywhere: header and length are checked before a value is read."""

import io
import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, NamedTuple

import numpy as np

from lottery_pipeline.images.request import ImageError

PIECE_BYTES = 2**22  # read at a time
LONGEST_HEADER = 10_000  # as for NumPy, which reads a header before it looks: up to 4 GiB out of a small file
_LONGEST_SIDE = 2**40
_READERS = {
    (1, 0): (2, np.lib.format.read_array_header_1_0),
    (2, 0): (4, np.lib.format.read_array_header_2_0),
}
# What NumPy writes. Others inflate without a limit on what comes out at once.
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class ArrayHeader(NamedTuple):
    """What stands before the values of an array.

    Attributes:
        shape: of the array.
        fortran: whether the first index changes fastest.
        dtype: of its values; never Python objects or records.
    """

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: IO[bytes], what: str) -> ArrayHeader:
    """Read the beginning of an npy file; the position is then that of the first value.

    Raises:
        ImageError: it is not a header of format 1.0 or 2.0, or the type or shape is not that of images or
            labels.
    """
    try:
        width, reader = _READERS[np.lib.format.read_magic(stream)]
        length = stream.read(width)
        if int.from_bytes(length, "little") > LONGEST_HEADER:
            raise ValueError("the header is too long")
        shape, fortran, dtype = reader(io.BytesIO(length + stream.read(int.from_bytes(length, "little"))))
    except Exception as error:  # headers from anywhere raise almost anything
        raise ImageError(f"{what} is not a readable npy array; allowed are formats 1.0 and 2.0") from error
    if dtype.hasobject:
        raise ImageError(f"{what} holds pickled Python objects; allowed are numbers and text")
    if dtype.kind == "V":
        raise ImageError(f"{what} holds records; allowed are numbers and text")
    if not all(0 <= side <= _LONGEST_SIDE for side in shape):
        raise ImageError(f"{what} has the impossible shape {shape}")
    return ArrayHeader(shape, fortran, dtype)


@contextmanager
def open_member(archive: zipfile.ZipFile, name: str, what: str) -> Iterator[tuple[IO[bytes], ArrayHeader]]:
    """Open an array of an archive; its values are what is left of the stream.

    Raises:
        ImageError: it is not an array as NumPy writes it, or does not have the size that its header says.
    """
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type not in _COMPRESSIONS:
        raise ImageError(f"{what} is compressed in a way that NumPy does not use")
    with archive.open(info) as stream:
        header = read_header(stream, what)
        if stream.tell() + header.nbytes != info.file_size:
            raise ImageError(f"{what} does not have the size that its header says")
        yield stream, header


def read_pieces(stream: IO[bytes], header: ArrayHeader, what: str) -> Iterator[np.ndarray]:
    """Yield the values in the order of the file, ``[n]`` at a time.

    Raises:
        ImageError: the file ends early.
    """
    count, step = math.prod(header.shape), max(1, PIECE_BYTES // max(1, header.dtype.itemsize))
    for start in range(0, count, step):
        yield _read(stream, (min(step, count - start),), header.dtype, what)


def read_into(
    stream: IO[bytes],
    header: ArrayHeader,
    target: np.ndarray,
    what: str,
    convert: Callable[[np.ndarray], np.ndarray],
) -> None:
    """Read values into an array of the same shape, piece by piece, each through a function.

    Raises:
        ImageError: the file ends early.
    """
    _read_into(stream, header.dtype, target.T if header.fortran else target, what, convert)


def _read_into(
    stream: IO[bytes],
    dtype: np.dtype,
    target: np.ndarray,
    what: str,
    convert: Callable[[np.ndarray], np.ndarray],
) -> None:
    row_bytes = math.prod(target.shape[1:]) * dtype.itemsize
    if row_bytes > PIECE_BYTES:
        for row in target:
            _read_into(stream, dtype, row, what, convert)
        return
    step = max(1, PIECE_BYTES // row_bytes)
    for start in range(0, len(target), step):
        part = target[start : start + step]
        part[...] = convert(_read(stream, part.shape, dtype, what))


def _read(stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype, what: str) -> np.ndarray:
    content = stream.read(math.prod(shape) * dtype.itemsize)
    if len(content) != math.prod(shape) * dtype.itemsize:
        raise ImageError(f"{what} ends early")
    return np.frombuffer(content, dtype).reshape(shape)
