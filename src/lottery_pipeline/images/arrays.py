"""``arrays``: an npz file with x and y, optionally x_test and y_test; never a pickle."""

import math
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from lottery_pipeline.images.array_labels import number_labels
from lottery_pipeline.images.labelled import LabelledImages, Source
from lottery_pipeline.images.memory import check_memory
from lottery_pipeline.images.request import ImageError, ImageRequest
from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.reproducibility.files import describe_state

if TYPE_CHECKING:
    from torch import Tensor

NAMES = ("x", "y", "x_test", "y_test")
CHANNELS = (1, 3)
VALUES_PER_CHUNK = 2**24

Index = dict[str, tuple[tuple[int, ...], np.dtype]]


def find_arrays(request: ImageRequest) -> Source:
    """Check the npz file ``request.root`` from its index and labels, without reading the images.

    Raises:
        ImageError: the file is missing or broken, an array is missing or of a wrong type or shape.
    """
    path = Path(request.root or "")
    if not path.is_file():
        state = "is not a file" if path.exists() else "does not exist"
        raise ImageError(f"the npz file {path} {state}")
    index = _read_index(path)
    parts = _check_index(path, index)
    names = [f"y{part}" for part in parts]
    labels, class_names = number_labels(path, {name: [_read_array(path, name).reshape(-1)] for name in names})
    counts = [index[f"x{part}"][0][0] for part in parts]

    def load(_seed: int) -> LabelledImages:
        import torch

        from lottery_pipeline.images.conversion import fit_images

        pixels = torch.cat([_read_images(path, f"x{part}") for part in parts])
        return LabelledImages(
            class_names,
            labels,
            counts[0],
            lambda indices: fit_images(
                pixels[torch.from_numpy(indices)], image_size=request.image_size, channels=request.channels
            ),
        )

    return Source(describe_state(path.stat()), load)


def _read_index(path: Path) -> Index:
    """Read type and shape of each array and compare them with the sizes in the archive."""
    index: Index = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                if name not in NAMES:
                    continue
                with archive.open(info) as member:
                    shape, dtype = _read_array_header(cast(BinaryIO, member))
                    if dtype.hasobject:
                        raise ImageError(f"{name} holds Python objects; allowed: numbers")
                    size = math.prod(shape) * dtype.itemsize
                    if member.tell() + size != info.file_size:
                        raise ImageError(f"{name} does not have the size that it claims")
                check_memory(size, f"{name} in {path}")
                index[name] = (shape, dtype)
    except Exception as error:  # zip and array headers from anywhere raise almost anything
        raise ImageError(f"{path} is not a readable npz file: {error}") from error
    return index


def _read_array_header(member: BinaryIO) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(member)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ImageError(f"array format {version} is unknown; allowed: 1.0, 2.0")
    shape, _, dtype = readers[version](member)
    if any(side < 0 for side in shape):
        raise ImageError(f"the shape {shape} is impossible")
    return shape, dtype


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
        (x_shape, x_type), (y_shape, y_type) = index[x], index[y]
        if x_type != np.uint8 and x_type.kind != "f":
            raise ImageError(f"{x} in {path} is {x_type}; allowed: uint8, or float from 0 to 1")
        _find_channel_axis(f"{x} in {path}", x_shape)
        if y_type.kind not in "iuU":
            raise ImageError(f"{y} in {path} is {y_type}; allowed: whole numbers or text")
        if y_shape not in ((x_shape[0],), (x_shape[0], 1)):
            raise ImageError(
                f"{y} in {path} has shape {y_shape}; allowed: one label for each of {x_shape[0]} images"
            )
        if not x_shape[0]:
            raise ImageError(f"{x} in {path} holds no images")
    sides = {_split_shape(index[f"x{part}"][0]) for part in parts}
    if len(sides) > 1:
        raise ImageError(f"x and x_test in {path} differ in the size or channels of the images")
    return parts


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


def _read_array(path: Path, name: str) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return archive[name]
    except Exception as error:
        raise ImageError(f"{name} in {path} cannot be read: {error}") from error


def _read_images(path: Path, name: str) -> "Tensor":
    """Read one array of images as uint8 ``[N, C, H, W]``."""
    import torch

    array = _read_array(path, name)
    axis = _find_channel_axis(f"{name} in {path}", array.shape)
    array = array[:, None] if axis is None else np.moveaxis(array, axis, 1)
    if array.dtype == np.uint8:
        return torch.from_numpy(np.ascontiguousarray(array))
    pixels = np.empty(array.shape, dtype=np.uint8)
    step = max(1, VALUES_PER_CHUNK // math.prod(array.shape[1:]))
    for start in range(0, len(array), step):
        chunk = array[start : start + step].astype(np.float64)
        low, high = chunk.min(), chunk.max()
        if not (low >= 0 and high <= 1):  # so that NaN is refused too
            raise ImageError(
                f"{name} in {path} holds values from {write_number(low)} to {write_number(high)}; "
                f"floats must be from 0 to 1"
            )
        pixels[start : start + step] = np.rint(chunk * 255)
    return torch.from_numpy(pixels)
