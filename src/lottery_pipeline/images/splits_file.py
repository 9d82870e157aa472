"""The one safetensors file that holds prepared images."""

import json
import logging
import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lottery_pipeline.images.draft import find_draft_folder
from lottery_pipeline.images.memory import choose_storage
from lottery_pipeline.images.request import ImageError, Storage
from lottery_pipeline.images.splits import PARTS, ImageSet, ImageSplits, fingerprint_content, name_tensors
from lottery_pipeline.images.stored import StoredImages
from lottery_pipeline.images.stored_file import note_check, open_images, was_checked
from lottery_pipeline.options.faults import describe_file_fault
from lottery_pipeline.reproducibility.files import discard, replace_atomically, stat_regular
from lottery_pipeline.reproducibility.fingerprints import FINGERPRINT_LENGTH, fingerprint, fingerprint_tensors
from lottery_pipeline.reproducibility.storage import faults_explained, set_aside

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
HEADER_KEY = "header"

UnitNumber = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
PositiveNumber = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


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


def save_splits(splits: ImageSplits, path: str | Path) -> None:
    """Write splits as one safetensors file, atomically.

    If their images are read from a draft of this file, it is moved to its place; if from this file itself,
    nothing is done.

    Raises:
        ImageError: they are read from another file.
    """
    tensors = name_tensors(splits.train, splits.validation, splits.test)
    stored = [images for images in tensors.values() if isinstance(images, StoredImages)]
    if stored:
        place, file = Path(path).absolute(), stored[0].file
        if file.path.parent == find_draft_folder(place):
            with faults_explained(path):
                file.move(place)
            discard(find_draft_folder(place))
            note_check(file, splits.fingerprint)
        if all(images.file.path == place for images in stored):
            return
        raise ImageError(f"the images that lie in {file.path} cannot be saved as {path}: copy the file")
    header = Header(
        format_version=FORMAT_VERSION,
        class_names=list(splits.class_names),
        mean=list(splits.mean),
        std=list(splits.std),
        fingerprint=splits.fingerprint,
        request=splits.request,
        source=splits.source,
    )
    whole = {
        name: tensor.cpu().contiguous() for name, tensor in tensors.items() if isinstance(tensor, Tensor)
    }
    with replace_atomically(path) as temporary:
        save_file(whole, temporary, metadata={HEADER_KEY: write_header(header)})
    discard(find_draft_folder(Path(path)))


def write_header(header: Header) -> str:
    """Return a header as JSON, with its sum."""
    record = header.model_dump(mode="json", exclude={"sha256"})
    return json.dumps({**record, "sha256": fingerprint(record)})


def load_splits(path: str | Path, storage: Literal["auto"] | Storage = "memory") -> ImageSplits:
    """Read what ``save_splits`` wrote, trusting nothing in it.

    Names, types and shapes are checked against the file's own index before a tensor is made, and the
    content and the header against their sums. Images that stay on disk are compared with their sum once: a
    note beside the file says which state of it was found right.

    Args:
        path: of the file.
        storage: ``disk`` leaves the pixels of images with classes in the file; ``auto`` chooses by the memory
            that is free.

    Raises:
        FileNotFoundError: there is no such file.
        ImageError: the file does not hold prepared images, or is damaged.
    """
    path = Path(path)
    try:
        stat_regular(path)
        with safe_open(path, framework="pt") as file:
            header = read_header(file.metadata())
            index = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            check_index(index, len(header.mean))
            shapes = {name: entry.get_shape() for name, entry in index.items()}
            tensors = {name: file.get_tensor(name) for name in shapes if name.endswith("labels")}
            size = sum(math.prod(shape) for name, shape in shapes.items() if name.endswith("images"))
            has_classes = len(shapes["train.labels"]) == 1
            on_disk = has_classes and choose_storage(storage, size) == "disk"
            images: dict[str, Tensor | StoredImages]
            images = {} if on_disk else {f"{n}.images": file.get_tensor(f"{n}.images") for n in PARTS}
        if on_disk:
            images |= open_images(path, shapes)
        splits = header.describe(*(ImageSet(images[f"{n}.images"], tensors[f"{n}.labels"]) for n in PARTS))
        _check(splits)
        if header.sha256 is None:
            logger.info("%s is of an older version, without a sum of its header; it is read.", path)
    except FileNotFoundError:
        raise
    except (SafetensorError, ImageError, OSError) as error:
        raise ImageError(f"{path} is not a valid file of prepared images: {error}") from error
    return splits


def _check(splits: ImageSplits) -> None:
    """Compare the content with the fingerprint, unless this state of the file was found right before."""
    images = splits.train.images
    if isinstance(images, StoredImages) and was_checked(images.file, splits.fingerprint):
        return
    tensors = fingerprint_tensors(name_tensors(splits.train, splits.validation, splits.test))
    if fingerprint_content(tensors, splits.class_names, splits.mean, splits.std) != splits.fingerprint:
        raise ImageError("its content does not match its fingerprint")
    if isinstance(images, StoredImages):
        note_check(images.file, splits.fingerprint)


def find_splits(path: str | Path, storage: Literal["auto"] | Storage = "memory") -> ImageSplits | None:
    """Read what ``save_splits`` wrote; None if there is no file, or a damaged one, which is set aside.

    Args:
        path: of the file.
        storage: as for ``load_splits``.

    Raises:
        ImageError: the file cannot be read now, though it may be sound.
    """
    if not Path(path).exists():
        return None
    try:
        return load_splits(path, storage)
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
