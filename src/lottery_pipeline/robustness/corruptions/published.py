"""Published files of CIFAR-10-C and CIFAR-100-C (arXiv 1903.12261), as users have them.

A folder holds one npy file for each corruption, uint8 ``[50000, 32, 32, 3]``: the test set at severity 1,
then at severity 2, and so on; ``labels.npy`` repeats the labels of the test set five times. A smaller set is
valid if all files have the same number of rows and it is a multiple of five. Nothing is downloaded.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lottery_pipeline.images.request import ImageError
from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.robustness.corruptions.array_files import (
    ArrayFile,
    check_images,
    check_labels,
    find_array,
    map_array,
)
from lottery_pipeline.robustness.corruptions.names import SEVERITIES, TEST_CORRUPTIONS

MOST_ROWS = 50_000
SOURCES = {10: "CIFAR-10-C", 100: "CIFAR-100-C"}


@dataclass(frozen=True, eq=False)
class PublishedSet:
    """A checked folder of published files.

    Attributes:
        source: CIFAR-10-C or CIFAR-100-C.
        files: by corruption.
        labels: int64 ``[N]``, of the images at each severity.
    """

    source: str
    files: dict[str, ArrayFile]
    labels: Tensor


def find_published(
    folder: str | Path,
    *,
    image_shape: tuple[int, ...],
    num_classes: int,
    names: Iterable[str] = TEST_CORRUPTIONS,
    test_images: int | None = None,
) -> PublishedSet:
    """Check all files of a folder; of the pixels none is read.

    Args:
        folder: of the files.
        image_shape: (C, H, W) of the network's images.
        num_classes: of the network; the order of the classes must be that of CIFAR.
        names: the corruptions to read; the four for validation are not read.
        test_images: number of images of the test set that the files repeat, if it is known.

    Raises:
        ImageError: a file is missing, broken, pickled, of a wrong type, shape or length, or does not fit the
            network or the test set.
    """
    folder = Path(folder)
    if num_classes not in SOURCES:
        raise ImageError(f"the files in {folder} are of 10 or 100 classes, but the network has {num_classes}")
    if not folder.is_dir():
        raise ImageError(f"the folder {folder} of corrupted images does not exist")
    label_file = find_array(folder / "labels.npy")
    if label_file.dtype.kind not in "iu" or len(label_file.shape) != 1:
        raise ImageError(
            f"{label_file.path} is {label_file.dtype} of shape {label_file.shape}; allowed are whole numbers "
            "of shape (N,)"
        )
    (rows,) = label_file.shape
    if not 0 < rows <= MOST_ROWS or rows % len(SEVERITIES):
        raise ImageError(
            f"{label_file.path} has {rows} labels; allowed are 50,000, or fewer that are a multiple of 5"
        )
    if test_images is not None and rows // len(SEVERITIES) < test_images:
        raise ImageError(
            f"{label_file.path} has {rows // len(SEVERITIES):,} images for each severity, but the test set "
            f"has {test_images:,}; the published files are of CIFAR's own test set"
        )
    labels = _read_labels(label_file, num_classes)
    files = {}
    for name in names:
        file = find_array(folder / f"{name}.npy")
        check_images(str(file.path), file.shape, file.dtype, image_shape)
        if file.shape[0] != rows:
            raise ImageError(f"{file.path} has {file.shape[0]} images, but labels.npy has {rows} labels")
        files[name] = file
    return PublishedSet(SOURCES[num_classes], files, labels)


def _read_labels(file: ArrayFile, num_classes: int) -> Tensor:
    """Return the labels of one severity."""
    labels = check_labels(str(file.path), np.asarray(map_array(file)), num_classes)
    by_severity = labels.reshape(len(SEVERITIES), -1)
    if (by_severity != by_severity[0]).any():
        raise ImageError(f"{file.path} must repeat the labels of the test set for each of the 5 severities")
    if num_classes > min(SOURCES) > labels.max():
        raise ImageError(
            f"{file.path} holds labels of {min(SOURCES)} classes, but the network has {num_classes} classes"
        )
    return torch.from_numpy(by_severity[0].copy())


def read_published(published: PublishedSet, name: str, severity: int, indices: Sequence[int]) -> ImageSet:
    """Read some images of one corruption at one severity; the rest of the file is not touched.

    Args:
        published: of ``find_published``.
        name: one of its files.
        severity: 1 to 5.
        indices: positions in the test set.

    Raises:
        ImageError: an index is beyond the images of a severity, or the file has changed since it was checked.
    """
    count, positions = len(published.labels), np.asarray(indices, dtype=np.int64)
    file = published.files[name]
    if len(positions) and not 0 <= positions.min() <= positions.max() < count:
        raise ImageError(
            f"{file.path} has {count} images for each severity, but the image at position "
            f"{positions.max()} is wanted"
        )
    if find_array(file.path) != file:
        raise ImageError(f"{file.path} has changed since it was checked")
    rows = map_array(file)[(severity - 1) * count + positions]
    pixels = np.array(rows.transpose(0, 3, 1, 2), order="C")
    return ImageSet(torch.from_numpy(pixels), published.labels[torch.from_numpy(positions)])
