"""``arrays``: an npz file with x and y, optionally x_test and y_test; never a pickle."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lottery_pipeline.images.array_labels import LONGEST_NAME, number_labels
from lottery_pipeline.images.array_members import ArrayHeader, open_member, read_into, read_pieces
from lottery_pipeline.images.labelled import LabelledImages, Source
from lottery_pipeline.images.memory import check_memory
from lottery_pipeline.images.request import ImageError, ImageRequest
from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.reproducibility.files import describe_state, stat_regular

if TYPE_CHECKING:
    from torch import Tensor

NAMES = ("x", "y", "x_test", "y_test")
CHANNELS = (1, 3)
BYTES_PER_LABEL = 24  # while classes are numbered
NAME_BYTES = 4 * LONGEST_NAME  # of a text as NumPy keeps it
MOST_TEXT_BYTES = 2**26  # of all labels, if their type has room for more than a name

Index = dict[str, ArrayHeader]


def find_arrays(request: ImageRequest) -> Source:
    """Check the npz file ``request.root`` from its index and labels, without reading the images.

    Raises:
        ImageError: the file is missing or broken, an array is missing or of a wrong type or shape, or memory
            is too small for it.
    """
    path = Path(request.root or "")
    if not path.is_file():
        state = "is not a file" if path.exists() else "does not exist"
        raise ImageError(f"the npz file {path} {state}")
    index = _read_index(path)
    parts = _check_index(path, index)
    channels, height, width = _split_shape(index["x"].shape)
    labels, class_names = number_labels(path, {f"y{part}": _read_labels(path, f"y{part}") for part in parts})

    def load(_seed: int) -> LabelledImages:
        from lottery_pipeline.images.conversion import fit_images

        return LabelledImages(
            class_names,
            labels,
            index["x"].shape[0],
            lambda indices: fit_images(
                _read_images(path, parts, index),
                image_size=request.image_size,
                channels=request.channels,
                indices=indices,
            ),
            look=lambda _indices: (
                request.channels or channels,
                request.image_size or height,
                request.image_size or width,
            ),
        )

    return Source(describe_state(path.stat()), load)


@contextmanager
def _open(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open the archive; whatever goes wrong with its content is one sentence."""
    try:
        stat_regular(path)
        with zipfile.ZipFile(path) as archive:
            yield archive
    except ImageError:
        raise
    except Exception as error:  # archives from anywhere raise almost anything
        raise ImageError(f"{path} is not a readable npz file: {error}") from error


def _read_index(path: Path) -> Index:
    """Read type and shape of each array and compare them with the sizes in the archive."""
    index: Index = {}
    with _open(path) as archive:
        found = [name for info in archive.infolist() if (name := info.filename.removesuffix(".npy")) in NAMES]
        for name in found:
            if found.count(name) > 1:
                raise ImageError(f"{path} holds {name} twice")
            with open_member(archive, name, f"{name} in {path}") as (_, header):
                index[name] = header
    return index


def _check_index(path: Path, index: Index) -> tuple[str, ...]:
    """Check names, types and shapes; return the suffixes of the parts present: ("",) or ("", "_test")."""
    parts = ("", "_test") if {"x_test", "y_test"} & set(index) else ("",)
    for part in parts:
        x, y = f"x{part}", f"y{part}"
        for name in (x, y):
            if name not in index:
                raise ImageError(
                    f"{path} has no array {name!r}; needed: x and y, and both of x_test and y_test or neither"
                )
        x_header, y_header = index[x], index[y]
        count = _check_images(f"{x} in {path}", x_header)
        if y_header.dtype.kind not in "iuU":
            raise ImageError(f"{y} in {path} is {y_header.dtype}; allowed: whole numbers or text")
        if y_header.shape not in ((count,), (count, 1)):
            raise ImageError(
                f"{y} in {path} has shape {y_header.shape}; allowed: one label for each of {count} images"
            )
        if y_header.dtype.itemsize > NAME_BYTES and y_header.nbytes > MOST_TEXT_BYTES:
            raise ImageError(
                f"{y} in {path} is text of {y_header.dtype.itemsize // 4} characters, which takes "
                f"{y_header.nbytes / 2**20:.0f} MiB; allowed: {LONGEST_NAME} characters"
            )
    sides = {_split_shape(index[f"x{part}"].shape) for part in parts}
    if len(sides) > 1:
        raise ImageError(f"x and x_test in {path} differ in the size or channels of the images")
    images = [index[f"x{part}"].shape for part in parts]
    size = sum(math.prod(shape) + BYTES_PER_LABEL * shape[0] for shape in images)
    check_memory(size, f"{' and '.join(f'x{part}' for part in parts)} in {path}")
    return parts


def _check_images(what: str, header: ArrayHeader) -> int:
    """Return the number of images."""
    if header.dtype != np.uint8 and header.dtype.kind != "f":
        raise ImageError(f"{what} is {header.dtype}; allowed: uint8, or float from 0 to 1")
    _find_channel_axis(what, header.shape)
    if not header.shape[0]:
        raise ImageError(f"{what} holds no images")
    return header.shape[0]


def _find_channel_axis(what: str, shape: tuple[int, ...]) -> int | None:
    """Return the axis of the channels; ``None`` if there is none."""
    if len(shape) == 3 and min(shape[1:]) > 0:
        return None
    if len(shape) == 4 and min(shape[1:]) > 0:
        axes = [axis for axis in (1, 3) if shape[axis] in CHANNELS]
        if len(axes) == 1:
            return axes[0]
        if axes:
            raise ImageError(f"{what} has shape {shape}, which could be NCHW or NHWC: use larger images")
    raise ImageError(f"{what} has shape {shape}; allowed: NHW, NHWC or NCHW with 1 or 3 channels")


def _split_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    axis = _find_channel_axis("x", shape)
    if axis is None:
        return 1, shape[1], shape[2]
    return (shape[1], shape[2], shape[3]) if axis == 1 else (shape[3], shape[1], shape[2])


def _read_labels(path: Path, name: str) -> Iterator[np.ndarray]:
    what = f"{name} in {path}"
    with _open(path) as archive, open_member(archive, name, what) as (stream, header):
        yield from read_pieces(stream, header, what)


def _read_images(path: Path, parts: tuple[str, ...], index: Index) -> "Tensor":
    """Read the images of all parts as uint8 ``[N, C, H, W]``."""
    import torch

    counts = [index[f"x{part}"].shape[0] for part in parts]
    pixels = np.empty((sum(counts), *_split_shape(index["x"].shape)), dtype=np.uint8)
    for part, target in zip(parts, np.split(pixels, np.cumsum(counts)[:-1]), strict=True):
        what = f"x{part} in {path}"
        with _open(path) as archive, open_member(archive, f"x{part}", what) as (stream, header):
            if header != index[f"x{part}"]:
                raise ImageError(f"{path} has changed since it was checked")
            axis = _find_channel_axis(what, header.shape)
            view = target[:, 0] if axis is None else np.moveaxis(target, 1, axis)
            read_into(stream, header, view, what, partial(_to_bytes, what=what))
    return torch.from_numpy(pixels)


def _to_bytes(piece: np.ndarray, what: str) -> np.ndarray:
    if piece.dtype == np.uint8:
        return piece
    values = piece.astype(np.float64)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 1):  # so that NaN is refused too
        raise ImageError(
            f"{what} holds values from {write_number(low)} to {write_number(high)}; "
            "floats must be from 0 to 1"
        )
    return np.rint(values * 255)
