"""Small published sets for the tests: the layout of CIFAR-10-C, CIFAR-10.1 and CIFAR-10.2."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from lottery_pipeline.robustness.corruptions.names import TEST_CORRUPTIONS

COUNT = 4  # images for each severity


def write_published(
    folder: Path, *, classes: int = 10, names: Iterable[str] = TEST_CORRUPTIONS, count: int = COUNT
) -> Path:
    """Write files whose pixels all are 10 * place of the corruption + severity, first value: the image."""
    folder.mkdir(exist_ok=True)
    labels = np.arange(count) * (classes - 1) // (count - 1)
    np.save(folder / "labels.npy", np.tile(labels, 5).astype(np.uint8))
    for name in names:
        images = np.empty((5, count, 32, 32, 3), dtype=np.uint8)
        for severity in range(1, 6):
            images[severity - 1] = 10 * TEST_CORRUPTIONS.index(name) + severity
        images[:, :, 0, 0, 0] = np.arange(count)
        np.save(folder / f"{name}.npy", images.reshape(-1, 32, 32, 3))
    return folder


def write_new_test_set(folder: Path, version: str = "v6", count: int = COUNT) -> Path:
    """Write CIFAR-10.1; labels 0, 1, ... and pixels equal to the label."""
    folder.mkdir(exist_ok=True)
    labels = np.arange(count)
    np.save(folder / f"cifar10.1_{version}_labels.npy", labels.astype(np.int32))
    images = np.broadcast_to(labels[:, None, None, None], (count, 32, 32, 3)).astype(np.uint8)
    np.save(folder / f"cifar10.1_{version}_data.npy", images)
    return folder
