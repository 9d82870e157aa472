"""The images a run asks for: parameter group ``data`` (imports no torch, so that parameters load fast)."""

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from lottery_pipeline.options.lists import Group
from lottery_pipeline.options.task import TaskName

TORCHVISION_CLASSES = ("MNIST", "FashionMNIST", "KMNIST", "CIFAR10", "CIFAR100", "SVHN")
# The tasks that each source has labels for.
SOURCES: dict[str, tuple[TaskName, ...]] = {
    "digits": ("classification",),
    "canvases": ("classification", "segmentation", "keypoints"),
    **dict.fromkeys((f"torchvision:{name}" for name in TORCHVISION_CLASSES), ("classification",)),
    "torchvision:OxfordIIITPet": ("classification", "segmentation"),
    "torchvision:VOCSegmentation": ("segmentation",),
    "torchvision:Cityscapes": ("segmentation",),
    "image_folder": ("classification",),
    "arrays": ("classification",),
}
DENSE_SETS = tuple(f"torchvision:{name}" for name in ("OxfordIIITPet", "VOCSegmentation", "Cityscapes"))
Storage = Literal["memory", "disk"]
NEED_NO_FILES = ("digits", "canvases")
SMALLEST_CANVAS = 24


class ImageError(ValueError):
    """Images that cannot be found, read, split or trusted; the message is one sentence."""


class ImageRequest(Group):
    """Which images to prepare and how.

    Attributes:
        source: one of ``SOURCES``; ``digits`` and ``canvases`` need no files.
        task: which labels the images get; ``SOURCES`` says which a source has.
        root: folder of the images or of the downloaded data set (``image_folder``, ``torchvision:``), or
            the npz file (``arrays``); a relative path is read from the working directory.
        download: whether a missing torchvision data set may be downloaded into ``root``.
        image_size: side in pixels: the centre square of each image is resized to it, antialiased; ``None``
            keeps the common size of the images. The images of ``DENSE_SETS`` have no common size, so they
            need it. Canvases are composed at this size, 32 if there is none.
        channels: 1 (grey) or 3 (RGB); ``None`` keeps what the source has.
        validation_fraction: part of the training images set aside for validation; 0 gives an empty set. Used
            only by a source without a validation part.
        test_fraction: part of the training images set aside for testing, before those for validation. Used
            only by a source without a test part. For canvases both fractions are of the digits that they are
            composed of.
        train_limit: at most this many training images, a stratified subset taken after the validation split.
        storage: where the prepared pixels are while they are in use: in ``memory``, or on ``disk``, from
            where batches are read; ``auto`` takes memory where they fit. It changes no result, and is part of
            no fingerprint.
    """

    source: str = "digits"
    task: TaskName = "classification"
    root: str | None = None
    download: bool = False
    image_size: Annotated[int, Field(ge=4, le=2048)] | None = None
    channels: Literal[1, 3] | None = None
    validation_fraction: float = Field(default=0.1, ge=0, lt=1, allow_inf_nan=False)
    test_fraction: float = Field(default=0.2, gt=0, lt=1, allow_inf_nan=False)
    train_limit: Annotated[int, Field(ge=2)] | None = None
    storage: Literal["auto"] | Storage = "auto"

    @field_validator("source")
    @classmethod
    def _check_source(cls, source: str) -> str:
        if source not in SOURCES:
            raise ImageError(f"unknown image source {source!r}; allowed: {', '.join(SOURCES)}")
        return source

    @model_validator(mode="after")
    def _check_root(self) -> Self:
        if self.source not in NEED_NO_FILES and not self.root:
            wanted = "the npz file" if self.source == "arrays" else "a folder"
            raise ImageError(f"source {self.source!r} needs root: the path of {wanted}")
        return self

    @model_validator(mode="after")
    def _check_task(self) -> Self:
        allowed = SOURCES[self.source]
        if self.task not in allowed:
            raise ImageError(
                f"source {self.source!r} has no labels for task {self.task!r}; allowed: {', '.join(allowed)}"
            )
        return self

    @model_validator(mode="after")
    def _check_storage(self) -> Self:
        if self.storage == "disk" and self.task != "classification":
            raise ImageError(
                f"storage 'disk' is for images with classes, not for task {self.task!r}; take memory or auto"
            )
        if self.storage == "disk" and not hasattr(os, "preadv"):
            raise ImageError(
                "storage 'disk' needs a system that can read anywhere in a file; take memory or auto"
            )
        return self

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        if self.source in DENSE_SETS and self.image_size is None:
            raise ImageError(f"source {self.source!r} needs image_size: its images have no common size")
        if self.source == "canvases" and self.image_size is not None and self.image_size < SMALLEST_CANVAS:
            raise ImageError(f"image_size is {self.image_size}, but canvases need at least {SMALLEST_CANVAS}")
        return self

    def resolve(self, folder: Path) -> Self:
        """Let a relative ``root`` start at a folder, whatever the working directory."""
        if self.root is None:
            return self
        return self.model_copy(update={"root": str(folder / Path(self.root).expanduser())})
