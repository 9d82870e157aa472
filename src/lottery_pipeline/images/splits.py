"""Prepared images: train, validation and test parts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from lottery_pipeline.images.request import ImageError, Storage
from lottery_pipeline.images.statistics import measure_channels
from lottery_pipeline.images.stored import StoredImages
from lottery_pipeline.images.targets import find_fault, find_task
from lottery_pipeline.options.task import TaskName
from lottery_pipeline.reproducibility.fingerprints import fingerprint, fingerprint_tensors

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with their labels.

    Attributes:
        images: uint8 ``[N, C, H, W]``, contiguous, values 0..255; they may stay in their file.
        labels: int64 ``[N]`` (classes), ``[N, H, W]`` (a class for each pixel) or ``[N, J, 3]`` (points); see
            ``lottery_pipeline.images.targets``.
    """

    images: Tensor | StoredImages
    labels: Tensor

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.dim() != 4:
            found = f"{self.images.dtype} of shape {tuple(self.images.shape)}"
            raise ImageError(f"images must be uint8 of shape [N, C, H, W], got {found}")
        find_task(self.labels, self.images)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def task(self) -> TaskName:
        """What the labels are for: classification, segmentation or keypoints."""
        return find_task(self.labels, self.images)

    def to(self, device: torch.device | str) -> Self:
        """Copy to a device; the same object if it is already there."""
        if self.images.device == torch.device(device):
            return self
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def select(self, indices: Tensor) -> Self:
        """Return some of the images, in the order of their indices, int64 ``[n]``.

        Images that stay in their file stay there.
        """
        images = self.images
        chosen = images[indices] if isinstance(images, Tensor) else images.select(indices)
        return replace(self, images=chosen, labels=self.labels[indices.to(self.labels.device)])


@dataclass(frozen=True, eq=False)
class ImageSplits:
    """The three disjoint parts of a data set and what training must know about them.

    Attributes:
        train: images to train on; mean and std are measured on these alone.
        validation: images for choosing; may be empty.
        test: images for the final number.
        class_names: of the network's outputs: by label, or those of the points.
        mean: per channel, pixel units of [0, 1].
        std: per channel, pixel units of [0, 1], above 0.
        fingerprint: SHA-256 of the content (pixels, labels, class names, statistics).
        request: fingerprint of the request and seed that made these splits.
        source: name of the image source.
    """

    train: ImageSet
    validation: ImageSet
    test: ImageSet
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    request: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        shape = self.train.images.shape[1:]
        for name in PARTS:
            part: ImageSet = getattr(self, name)
            if part.images.shape[1:] != shape:
                found = f"{tuple(part.images.shape[1:])} and {tuple(shape)}"
                raise ImageError(f"the {name} and train images must have the same shape, got {found}")
            if part.task != self.task:
                raise ImageError(f"the {name} labels are of {part.task}, and the train labels of {self.task}")
            if len(part) and (fault := find_fault(self.task, part.labels, self.num_classes, self.image_size)):
                raise ImageError(f"the {name} labels {fault}")
        if not len(self.mean) == len(self.std) == self.channels:
            counts = f"{len(self.mean)} and {len(self.std)}"
            raise ImageError(f"mean and std must have {self.channels} channels, got {counts}")

    @property
    def task(self) -> TaskName:
        """What the labels are for: classification, segmentation or keypoints."""
        return self.train.task

    @property
    def num_classes(self) -> int:
        """Number of outputs of a network: classes, or points."""
        return len(self.class_names)

    @property
    def channels(self) -> int:
        """Number of channels, 1 or 3."""
        return self.train.images.shape[1]

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.train.images.shape[2], self.train.images.shape[3]

    @property
    def storage(self) -> Storage:
        """Where the pixels of the training images are: in memory, or still on disk."""
        return "memory" if isinstance(self.train.images, Tensor) else "disk"

    def to(self, device: torch.device | str) -> Self:
        """Copy all parts to a device."""
        parts = {name: getattr(self, name).to(device) for name in PARTS}
        return replace(self, **parts)


def name_tensors(train: ImageSet, validation: ImageSet, test: ImageSet) -> dict[str, Tensor | StoredImages]:
    """Return images and labels of all parts under the names that they have in the file."""
    tensors: dict[str, Tensor | StoredImages] = {}
    for name, part in zip(PARTS, (train, validation, test), strict=True):
        tensors[f"{name}.images"] = part.images
        tensors[f"{name}.labels"] = part.labels
    return tensors


def fingerprint_content(
    tensors: str, class_names: Sequence[str], mean: Sequence[float], std: Sequence[float]
) -> str:
    """Return the fingerprint of splits.

    Args:
        tensors: ``fingerprint_tensors`` of their images and labels.
        class_names: by label.
        mean: per channel.
        std: per channel.
    """
    record = {"tensors": tensors, "class_names": list(class_names)}
    return fingerprint(record | {"mean": list(mean), "std": list(std)})


def assemble_splits(
    train: ImageSet,
    validation: ImageSet,
    test: ImageSet,
    class_names: Sequence[str],
    *,
    request: str = "",
    source: str = "",
) -> ImageSplits:
    """Join three parts, measure the training part and fingerprint the whole.

    Raises:
        ImageError: there is no training image, or the parts do not fit together.
    """
    if not len(train):
        raise ImageError("there are no training images")
    mean, std = measure_channels(train.images)
    tensors = fingerprint_tensors(name_tensors(train, validation, test))
    content = fingerprint_content(tensors, class_names, mean, std)
    names = tuple(class_names)
    return ImageSplits(train, validation, test, names, mean, std, content, request, source)
