"""Where the images of each part lie in a file of prepared images, and whether it was found right before."""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from lottery_pipeline.images.pixel_file import PixelFile
from lottery_pipeline.images.request import ImageError
from lottery_pipeline.images.stored import StoredImages
from lottery_pipeline.reproducibility.files import write_atomically

logger = logging.getLogger(__name__)

LENGTH_BYTES = 8  # of the number that says how long the index is: the beginning of every safetensors file
_LARGEST_INDEX = 100 * 10**6  # bytes; the limit of safetensors


def open_images(path: Path, shapes: Mapping[str, Sequence[int]]) -> dict[str, StoredImages]:
    """Find the images in a file that safetensors has opened; none is read.

    Args:
        path: of the file.
        shapes: of all tensors by name, as safetensors has them.

    Returns:
        The images of each part, by the name of their tensor.

    Raises:
        ImageError: the index does not say the same, or points outside the file.
    """
    file = PixelFile(path)
    first = bytearray(LENGTH_BYTES)
    file.read_into(memoryview(first), 0)
    length = int.from_bytes(first, "little")
    if length > min(_LARGEST_INDEX, file.size - LENGTH_BYTES):
        raise ImageError("its index is longer than the file")
    text = bytearray(length)
    file.read_into(memoryview(text), LENGTH_BYTES)
    index = json.loads(text)  # safetensors has read it before
    images = {}
    for name in (name for name in shapes if name.endswith("images")):
        begin, end = index[name]["data_offsets"]
        shape, start = shapes[name], LENGTH_BYTES + length
        if index[name]["shape"] != list(shape) or end - begin != math.prod(shape):
            raise ImageError(f"{name} has another size than its index says")
        if not 0 <= begin <= end <= file.size - start:
            raise ImageError(f"{name} lies outside the file")
        images[name] = StoredImages(file, start + begin, shape)
    return images


def was_checked(file: PixelFile, fingerprint: str) -> bool:
    """Whether this state of the file was found to match the fingerprint before."""
    expected = _describe(file, fingerprint)
    try:
        with _note_path(file.path).open("rb") as note:
            return note.read(len(expected) + 1) == expected
    except OSError:  # most likely there is none
        return False


def note_check(file: PixelFile, fingerprint: str) -> None:
    """Note that the file, as it is now, matches the fingerprint, so that nobody need read all of it again."""
    try:
        write_atomically(_note_path(file.path), _describe(file, fingerprint))
    except OSError as error:
        logger.warning("%s is checked again the next time, because no note can be left: %s", file.path, error)


def _describe(file: PixelFile, fingerprint: str) -> bytes:
    return json.dumps({"fingerprint": fingerprint, "state": file.state}).encode()


def _note_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.checked")
