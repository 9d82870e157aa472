"""Prepared images: train, validation and test parts, and the one safetensors file that holds them."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lottery_pipeline.images.request import ImageError
from lottery_pipeline.images.statistics import measure_channels
from lottery_pipeline.images.targets import find_fault, find_task
from lottery_pipeline.options.faults import describe_file_fault
from lottery_pipeline.options.task import TaskName
from lottery_pipeline.reproducibility.files import replace_atomically, stat_regular
from lottery_pipeline.reproducibility.fingerprints import FINGERPRINT_LENGTH, fingerprint, fingerprint_tensors
from lottery_pipeline.reproducibility.storage import set_aside

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
PARTS = ("train", "validation", "test")
HEADER_KEY = "header"

UnitNumber = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
PositiveNumber = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with their labels.

    Attributes:
        images: uint8 ``[N, C, H, W]``, contiguous, values 0..255.
        labels: int64 ``[N]`` (classes), ``[N, H, W]`` (a class for each pixel) or ``[N, J, 3]`` (points); see
            ``lottery_pipeline.images.targets``.
    """

    images: Tensor
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

    def to(self, device: torch.device | str) -> Self:
        """Copy all parts to a device."""
        parts = {name: getattr(self, name).to(device) for name in PARTS}
        return replace(self, **parts)


class Header(BaseModel):
    """What the file's JSON header must hold; a file may come from anywhere, so every field is bounded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1]
    class_names: Annotated[
        list[Annotated[str, Field(max_length=255)]], Field(min_length=1, max_length=100_000)
    ]
    mean: Annotated[list[UnitNumber], Field(min_length=1, max_length=3)]
    std: Annotated[list[PositiveNumber], Field(min_length=1, max_length=3)]
    fingerprint: str = Field(min_length=FINGERPRINT_LENGTH, max_length=FINGERPRINT_LENGTH)
    request: str = Field(max_length=FINGERPRINT_LENGTH)
    source: str = Field(max_length=255)
    sha256: str | None = None  # of the rest of the header, whose fingerprint is that of the tensors

    def describe(self, train: ImageSet, validation: ImageSet, test: ImageSet) -> ImageSplits:
        """Return these parts under what the header says of the whole."""
        return ImageSplits(
            train,
            validation,
            test,
            class_names=tuple(self.class_names),
            mean=tuple(self.mean),
            std=tuple(self.std),
            fingerprint=self.fingerprint,
            request=self.request,
            source=self.source,
        )


def _name_tensors(train: ImageSet, validation: ImageSet, test: ImageSet) -> dict[str, Tensor]:
    tensors = {}
    for name, part in zip(PARTS, (train, validation, test), strict=True):
        tensors[f"{name}.images"] = part.images
        tensors[f"{name}.labels"] = part.labels
    return tensors


def _fingerprint_content(
    tensors: dict[str, Tensor], class_names: Sequence[str], mean: Sequence[float], std: Sequence[float]
) -> str:
    record = {"tensors": fingerprint_tensors(tensors), "class_names": list(class_names)}
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
    content = _fingerprint_content(_name_tensors(train, validation, test), class_names, mean, std)
    names = tuple(class_names)
    return ImageSplits(train, validation, test, names, mean, std, content, request, source)


def save_splits(splits: ImageSplits, path: str | Path) -> None:
    """Write splits as one safetensors file, atomically."""
    tensors = _name_tensors(splits.train, splits.validation, splits.test)
    header = Header(
        format_version=FORMAT_VERSION,
        class_names=list(splits.class_names),
        mean=list(splits.mean),
        std=list(splits.std),
        fingerprint=splits.fingerprint,
        request=splits.request,
        source=splits.source,
    )
    record = header.model_dump(mode="json", exclude={"sha256"})
    text = json.dumps({**record, "sha256": fingerprint(record)})
    with replace_atomically(path) as temporary:
        tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        save_file(tensors, temporary, metadata={HEADER_KEY: text})


def load_splits(path: str | Path) -> ImageSplits:
    """Read what ``save_splits`` wrote, trusting nothing in it.

    Names, types and shapes are checked against the file's own index before a tensor is made, and the
    content and the header against their sums.

    Raises:
        FileNotFoundError: there is no such file.
        ImageError: the file does not hold prepared images, or is damaged.
    """
    try:
        stat_regular(path)
        with safe_open(path, framework="pt") as file:
            header = read_header(file.metadata())
            check_index({name: file.get_slice(name) for name in file.keys()}, len(header.mean))  # noqa: SIM118
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        splits = header.describe(*(ImageSet(tensors[f"{n}.images"], tensors[f"{n}.labels"]) for n in PARTS))
        if _fingerprint_content(tensors, splits.class_names, splits.mean, splits.std) != header.fingerprint:
            raise ImageError("its content does not match its fingerprint")
        if header.sha256 is None:
            logger.info("%s is of an older version, without a sum of its header; it is read.", path)
    except FileNotFoundError:
        raise
    except (SafetensorError, ImageError, OSError) as error:
        raise ImageError(f"{path} is not a valid file of prepared images: {error}") from error
    return splits


def find_splits(path: str | Path) -> ImageSplits | None:
    """Read what ``save_splits`` wrote; None if there is no file, or a damaged one, which is set aside.

    Raises:
        ImageError: the file cannot be read now, though it may be sound.
    """
    if not Path(path).exists():
        return None
    try:
        return load_splits(path)
    except ImageError as error:
        if isinstance(error.__cause__, OSError):
            raise
        set_aside(path, error.__cause__ or error)
        return None


def read_header(metadata: dict[str, str] | None) -> Header:
    """Return the typed header in the metadata of a file, or raise ``ImageError``."""
    try:
        text = (metadata or {})[HEADER_KEY]
        header = Header.model_validate_json(text)
    except KeyError as error:
        raise ImageError("it has no header") from error
    except ValidationError as error:
        raise ImageError(f"its header is wrong: {describe_file_fault(Header, error)}") from error
    record = json.loads(text)
    if record.pop("sha256", None) not in (None, fingerprint(record)):
        raise ImageError("its header does not agree with its SHA-256 sum, so it was changed")
    return header


def check_index(index: dict[str, Any], channels: int) -> None:
    """Compare names, types and shapes with those of prepared images, before any tensor is created."""
    expected = {f"{part}.{kind}" for part in PARTS for kind in ("images", "labels")}
    if set(index) != expected:
        raise ImageError(f"it must hold exactly the tensors {', '.join(sorted(expected))}")
    for name, entry in index.items():
        is_image = name.endswith("images")
        dtype, ranks = ("U8", (4,)) if is_image else ("I64", (1, 3))
        shape = entry.get_shape()
        if entry.get_dtype() != dtype or len(shape) not in ranks:
            raise ImageError(f"{name} must be {dtype} with {' or '.join(map(str, ranks))} dimensions")
        if is_image and (shape[1] != channels or min(shape[1:]) < 1):
            raise ImageError(f"{name} has the impossible shape {list(shape)}")
    if index["train.images"].get_shape()[0] < 1:
        raise ImageError("it holds no training images")
