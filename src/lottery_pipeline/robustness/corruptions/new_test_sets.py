"""New test sets for CIFAR-10, as users have them: CIFAR-10.1 (arXiv 1806.00451) and CIFAR-10.2.

CIFAR-10.1 is ``cifar10.1_v4_data.npy`` or ``cifar10.1_v6_data.npy`` with ``..._labels.npy``. CIFAR-10.2 is
``cifar102_test.npz`` with the arrays ``images`` and ``labels``; of its other arrays none is read. Its first
release, ``cifar102_test.npy``, is a pickle and refused. The classes are those of CIFAR-10 in the same order.
"""

import zipfile
from pathlib import Path

import numpy as np
import torch

from lottery_pipeline.images.array_members import open_member, read_into
from lottery_pipeline.images.request import ImageError
from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.reproducibility.files import stat_regular
from lottery_pipeline.robustness.corruptions.array_files import (
    check_images,
    check_labels,
    check_order,
    find_array,
    map_array,
)

VERSIONS = ("v4", "v6")
NEWEST = "cifar102_test.npz"
NUM_CLASSES = 10
MOST_IMAGES = 10_000

Header = tuple[tuple[int, ...], np.dtype]


def find_new_test_sets(folder: str | Path) -> dict[str, Path]:
    """Find the file of images of every new test set in a folder, by the name of the set.

    Raises:
        ImageError: there is none.
    """
    folder = Path(folder)
    paths = {f"CIFAR-10.1 {version}": folder / f"cifar10.1_{version}_data.npy" for version in VERSIONS}
    found = {name: path for name, path in (paths | {"CIFAR-10.2": folder / NEWEST}).items() if path.exists()}
    if not found:
        has_pickle = (folder / "cifar102_test.npy").exists()
        pickled = " (its cifar102_test.npy is a pickle, which is never read)" if has_pickle else ""
        raise ImageError(
            f"{folder} holds no new test set{pickled}; allowed are "
            f"cifar10.1_v4_data.npy, cifar10.1_v6_data.npy and {NEWEST}"
        )
    return found


def read_new_test_sets(
    folder: str | Path, *, image_shape: tuple[int, ...], num_classes: int
) -> dict[str, ImageSet]:
    """Read every new test set in a folder.

    Args:
        folder: of the files.
        image_shape: (C, H, W) of the network's images.
        num_classes: of the network.

    Returns:
        By name, such as ``CIFAR-10.1 v6``; at least one.

    Raises:
        ImageError: there is none, or a file is broken, pickled, of a wrong type, shape or length, or does not
            fit the network.
    """
    if num_classes != NUM_CLASSES:
        raise ImageError(f"the test sets in {folder} are of 10 classes, but the network has {num_classes}")
    return {
        name: (_read_archive if path.name == NEWEST else _read_pair)(path, image_shape)
        for name, path in find_new_test_sets(folder).items()
    }


def _read_pair(path: Path, image_shape: tuple[int, ...]) -> ImageSet:
    images, labels = find_array(path), find_array(path.with_name(path.name.replace("_data", "_labels")))
    headers = {str(file.path): (file.shape, file.dtype) for file in (images, labels)}
    _check_headers(headers, image_shape)
    return _join(np.asarray(map_array(images)), np.asarray(map_array(labels)), str(labels.path))


def _read_archive(path: Path, image_shape: tuple[int, ...]) -> ImageSet:
    try:
        stat_regular(path)
        with zipfile.ZipFile(path) as archive:
            headers = {}
            for name in ("images", "labels"):
                what = f"{name} in {path}"
                with open_member(archive, name, what) as (_, header):
                    check_order(what, header)
                    headers[what] = (header.shape, header.dtype)
            _check_headers(headers, image_shape)
            images, labels = (_read_member(archive, name, path) for name in ("images", "labels"))
    except ImageError:
        raise
    except Exception as error:  # archives from anywhere raise almost anything
        raise ImageError(f"{path} is not a readable npz file with the arrays images and labels") from error
    return _join(images, labels, f"labels in {path}")


def _read_member(archive: zipfile.ZipFile, name: str, path: Path) -> np.ndarray:
    """Read an array whose header, and so its size, was checked."""
    what = f"{name} in {path}"
    with open_member(archive, name, what) as (stream, header):
        values = np.empty(header.shape, header.dtype)
        read_into(stream, header, values, what, lambda piece: piece)
    return values


def _check_headers(headers: dict[str, Header], image_shape: tuple[int, ...]) -> None:
    (images, (shape, dtype)), (labels, (label_shape, label_dtype)) = headers.items()
    check_images(images, shape, dtype, image_shape)
    if not 0 < shape[0] <= MOST_IMAGES:
        raise ImageError(f"{images} has {shape[0]} images; allowed are 1 to {MOST_IMAGES}")
    if label_dtype.kind not in "iu" or label_shape != (shape[0],):
        raise ImageError(
            f"{labels} is {label_dtype} of shape {label_shape}; allowed is one whole number for each of "
            f"{shape[0]} images"
        )


def _join(images: np.ndarray, labels: np.ndarray, what: str) -> ImageSet:
    pixels = np.array(images.transpose(0, 3, 1, 2), order="C")
    return ImageSet(torch.from_numpy(pixels), torch.from_numpy(check_labels(what, labels, NUM_CLASSES)))
