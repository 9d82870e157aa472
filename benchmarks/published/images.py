"""The images of the study: a folder, the files of torchvision, or one small file made from a folder.

Decoded, CIFAR-10 takes 184 MB; its JPEG files, side by side and compressed, take 18. So what travels is the
files, and they are decoded where they are used, in seconds.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from PIL import Image

from lottery_pipeline.images.preparation import prepare_images
from lottery_pipeline.images.request import ImageError, ImageRequest
from lottery_pipeline.images.splits import ImageSet, ImageSplits, assemble_splits
from lottery_pipeline.reproducibility.files import write_atomically

PARTS = ("train", "test")
MAX_BYTES = 2**30  # of all files together
TORCHVISION = "cifar-10-batches-py"


@dataclass(frozen=True)
class ImageFiles:
    """Files of images, as they are, one after the other.

    Attributes:
        content: all bytes, uint8.
        ends: where each file ends in them, ascending, int64 [N].
        labels: class of each, int64 [N].
        train: the first ones are for training, the others for the test.
        classes: their names.
    """

    content: np.ndarray
    ends: np.ndarray
    labels: np.ndarray
    train: int
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        count = len(self.labels)
        fits = self.content.dtype == np.uint8 and self.content.ndim == self.ends.ndim == self.labels.ndim == 1
        if not (fits and len(self.ends) == count and 0 < self.train < count):
            raise ImageError("the arrays of the image files do not fit together")
        if not (np.diff(self.ends, prepend=0) > 0).all() or self.ends[-1] != len(self.content):
            raise ImageError("the ends of the image files are not ascending, or not those of the content")


def find_files(root: Path) -> ImageFiles:
    """Read train/<class>/* and test/<class>/*.

    Raises:
        ImageError: a part is missing, or its classes differ from those of the other.
    """
    names = [sorted(path.name for path in (root / part).glob("*") if path.is_dir()) for part in PARTS]
    if not names[0] or names[0] != names[1]:
        raise ImageError(f"{root} must hold train/<class>/* and test/<class>/*, with the same classes")
    paths = [[path for name in names[0] for path in sorted((root / part / name).iterdir())] for part in PARTS]
    files = [path.read_bytes() for part in paths for path in part]
    return ImageFiles(
        content=np.frombuffer(b"".join(files), dtype=np.uint8),
        ends=np.cumsum([len(file) for file in files], dtype=np.int64),
        labels=np.array([names[0].index(path.parent.name) for part in paths for path in part]),
        train=len(paths[0]),
        classes=tuple(names[0]),
    )


def pack_files(files: ImageFiles, path: Path) -> int:
    """Write files of images as one compressed file, atomically; return its size in bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        content=files.content,
        ends=files.ends,
        labels=files.labels,
        train=files.train,
        classes=np.array(files.classes),
    )
    write_atomically(path, buffer.getvalue())
    return buffer.tell()


def unpack_files(path: Path) -> ImageFiles:
    """Read what ``pack_files`` wrote.

    Raises:
        ImageError: it is not such a file, or it is too large.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ImageError(f"it has more than {MAX_BYTES} bytes")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return ImageFiles(
                content=arrays["content"],
                ends=arrays["ends"],
                labels=arrays["labels"],
                train=int(arrays["train"]),
                classes=tuple(arrays["classes"].tolist()),
            )
    except (ValueError, KeyError, OSError, BadZipFile) as error:
        raise ImageError(f"{path} is not a valid file of packed images: {error}") from error


def decode(files: ImageFiles) -> ImageSplits:
    """Decode files of images of one size; there are no validation images."""
    pieces = np.split(files.content, files.ends[:-1])
    decoded = [_decode_one(piece.tobytes()) for piece in pieces]
    if len({image.shape for image in decoded}) > 1:
        raise ImageError("the images differ in size")
    pixels = torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(files.labels).long()
    train = ImageSet(pixels[: files.train], labels[: files.train])
    test = ImageSet(pixels[files.train :], labels[files.train :])
    none = ImageSet(pixels[:0], labels[:0])
    return assemble_splits(train, none, test, files.classes, source="image_folder")


def _decode_one(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
        return np.asarray(image.convert("RGB"))


def read_images(data: Path) -> ImageSplits:
    """Read images for training and test.

    Args:
        data: what ``pack_files`` wrote; or a folder, with train/<class>/* and test/<class>/*, or with the
            files that torchvision has of CIFAR-10.

    Raises:
        ImageError: there are none, or they cannot be read.
    """
    if data.is_file():
        return decode(unpack_files(data))
    if (data / TORCHVISION).is_dir():
        request = ImageRequest(source="torchvision:CIFAR10", root=str(data), validation_fraction=0)
        return prepare_images(request, seed=0)
    return decode(find_files(data))


def draw_digits(count: int) -> ImageSplits:
    """Return some of scikit-learn's digits, for the smallest setting."""
    return prepare_images(ImageRequest(source="digits", train_limit=count, validation_fraction=0), seed=0)
