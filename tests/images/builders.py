"""Tiny images, folders and splits that the tests of images are made of."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lottery_pipeline.images.splits import ImageSet, ImageSplits, assemble_splits


def write_image(path: Path, value: int, *, size: tuple[int, int] = (8, 8)) -> None:
    """Write a PNG whose red channel is ``value`` and whose other channels make it unlike any other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value % 256, value // 256, 7)).save(path)


def write_classes(folder: Path, counts: dict[str, int], *, first: int = 0) -> None:
    """Write class folders of distinct images, numbered from ``first`` on."""
    for name, count in counts.items():
        for number in range(count):
            write_image(folder / name / f"{number:03}.png", first)
            first += 1


def read_identities(images: torch.Tensor) -> list[int]:
    """Read back the number that ``write_image`` hid in each image."""
    pixels = images[:, :2, 0, 0].to(torch.int64)
    return (pixels[:, 0] + 256 * pixels[:, 1]).tolist()


def make_set(labels: Sequence[int], *, channels: int = 3, side: int = 4, seed: int = 0) -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    shape = (len(labels), channels, side, side)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return ImageSet(images, torch.tensor(labels, dtype=torch.int64))


def make_splits(**extra: str) -> ImageSplits:
    return assemble_splits(
        make_set([0, 1, 1, 0], seed=1),
        make_set([1], seed=2),
        make_set([0, 1], seed=3),
        ["cat", "dog"],
        **extra,
    )


def write_npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path
