"""A file of prepared images in the making: what was written to it before a kill is kept."""

import hashlib
import json
import logging
import math
import os
import shutil
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from lottery_pipeline.images.pixel_file import PixelFile
from lottery_pipeline.images.reading_ahead import read_ahead
from lottery_pipeline.images.request import ImageError
from lottery_pipeline.images.stored import PIECE_BYTES, StoredImages, view_bytes
from lottery_pipeline.images.stored_file import LENGTH_BYTES
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.reproducibility.fingerprints import fingerprint
from lottery_pipeline.reproducibility.storage import faults_explained

logger = logging.getLogger(__name__)

Read = Callable[[int, int], Tensor]  # from the first place and the one after the last to uint8 [n, C, H, W]


def find_draft_folder(path: Path) -> Path:
    """Return the folder in which a file of prepared images is made."""
    return path.with_name(f".{path.name}.preparing")


class Draft:
    """A safetensors file that is written piece by piece, in a folder beside the place where it is to be.

    A journal in that folder has a line for every piece: its digest, which tells a torn piece
    from a whole one. The index of the file, which is its beginning, comes last; until then nothing can read
    it.

    Args:
        path: where the file is to be in the end.
        labels: int64 ``[N]`` of each part.
        image_shape: channels, height and width.
        longest: a header that is at least as long as the one that will be written.
        key: of all that determines the pixels; what was written under another one is removed.

    Raises:
        ImageError: the disk has no room for the file.
        StorageError: it cannot be written.
    """

    def __init__(
        self,
        path: Path,
        labels: Mapping[str, Tensor],
        image_shape: tuple[int, int, int],
        *,
        longest: str,
        key: str,
    ) -> None:
        self._labels = {part: labels[part] for part in sorted(labels)}
        self._image_shape, self._image_bytes = image_shape, math.prod(image_shape)
        self._per_piece = max(1, PIECE_BYTES // self._image_bytes)
        self._offsets: dict[str, tuple[int, int]] = {}
        # In the order of safetensors, which wants no gap: wide numbers first, then by name.
        for kind, size in (("labels", 8), ("images", self._image_bytes)):
            for part, values in self._labels.items():
                begin = max((end for _, end in self._offsets.values()), default=0)
                self._offsets[f"{part}.{kind}"] = begin, begin + size * len(values)
        self._start = LENGTH_BYTES + (len(self._write_index(longest)) + 7) // 8 * 8
        folder = find_draft_folder(path)
        self._file, self._journal = folder / path.name, folder / "journal"
        layout = {"index": self._write_index("").decode(), "start": self._start, "count": self._per_piece}
        self._key = fingerprint({"key": key, **layout})
        self._next = 0
        with faults_explained(path):
            self._digests = self._resume()
            if self._digests:
                logger.info("images: %d pieces that were prepared before are kept", len(self._digests))
            size = self._start + max(end for _, end in self._offsets.values())
            self._check_room(size)
            self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            self._close = weakref.finalize(self, os.close, self._descriptor)
            os.ftruncate(self._descriptor, size)

    def fill(self, part: str, read: Read) -> Iterator[Tensor]:
        """Yield all images of a part, piece by piece, each once it is in the file.

        The parts must come in the order of their names.

        Args:
            part: of the splits.
            read: called by a thread, for what is not in the file yet.
        """
        total, begin = len(self._labels[part]), self._start + self._offsets[f"{part}.images"][0]

        def make(start: int) -> Tensor:
            stop, number = min(start + self._per_piece, total), self._next
            self._next += 1
            place = begin + start * self._image_bytes
            images = self._recall(number, place, stop - start)
            return self._keep(place, read(start, stop)) if images is None else images

        return read_ahead(make, range(0, total, self._per_piece), count=1)

    def finish(self, header: str) -> dict[str, StoredImages]:
        """Write labels and index; return the images of each part, which are read from the draft."""
        index = self._write_index(header)
        length = self._start - LENGTH_BYTES
        with faults_explained(self._file):
            for part, values in self._labels.items():
                self._write(values.numpy().tobytes(), self._start + self._offsets[f"{part}.labels"][0])
            self._write(length.to_bytes(LENGTH_BYTES, "little") + index.ljust(length), 0)
            os.fsync(self._descriptor)
            self._close()
        file = PixelFile(self._file)
        return {
            part: StoredImages(
                file, self._start + self._offsets[f"{part}.images"][0], (len(values), *self._image_shape)
            )
            for part, values in self._labels.items()
        }

    def _write_index(self, header: str) -> bytes:
        index: dict[str, object] = {"__metadata__": {"header": header}}
        for name, offsets in self._offsets.items():
            count = len(self._labels[name.partition(".")[0]])
            is_image = name.endswith("images")
            shape = [count, *self._image_shape] if is_image else [count]
            index[name] = {"dtype": "U8" if is_image else "I64", "shape": shape, "data_offsets": offsets}
        return json.dumps(index).encode()

    def _resume(self) -> list[str]:
        """Return the digests of what was written before; what belongs to another key is removed."""
        try:
            key, *digests = self._journal.read_text().split("\n")[:-1]  # a torn line has no end
        except (OSError, ValueError):
            key, digests = "", []
        if key != self._key or not self._file.is_file():
            shutil.rmtree(self._file.parent, ignore_errors=True)
            self._file.parent.mkdir(parents=True)
            digests = []
        self._write_journal(digests)
        return digests

    def _write_journal(self, digests: list[str]) -> None:
        write_atomically(self._journal, "".join(f"{line}\n" for line in (self._key, *digests)).encode())

    def _check_room(self, size: int) -> None:
        taken = self._file.stat().st_blocks * 512 if self._file.exists() else 0
        free = shutil.disk_usage(self._file.parent).free + taken
        if free < size:
            raise ImageError(
                f"the prepared images would take {size / 2**30:.1f} GiB on disk, but {free / 2**30:.1f} GiB "
                f"are free in {self._file.parent.parent}: free some space, or set data.image_size or "
                "data.train_limit to a smaller value"
            )

    def _recall(self, number: int, place: int, count: int) -> Tensor | None:
        """Return a piece that is in the file already; None if it must be read."""
        if number >= len(self._digests):
            return None
        images = torch.empty((count, *self._image_shape), dtype=torch.uint8)
        read = os.preadv(self._descriptor, [view_bytes(images)], place)
        if read == images.nbytes and _digest(images) == self._digests[number]:
            return images
        logger.warning("%s: piece %d was not written whole, and is made anew.", self._file, number)
        self._digests = self._digests[:number]  # those after it, too
        self._write_journal(self._digests)
        return None

    def _keep(self, place: int, images: Tensor) -> Tensor:
        with faults_explained(self._file):
            self._write(view_bytes(images.contiguous()), place)
            with self._journal.open("a") as journal:
                journal.write(f"{_digest(images)}\n")
        return images

    def _write(self, content: bytes | memoryview, place: int) -> None:
        rest = memoryview(content)
        while rest:
            count = os.pwrite(self._descriptor, rest, place)
            rest, place = rest[count:], place + count


def _digest(images: Tensor) -> str:
    return hashlib.blake2b(images.contiguous().numpy().data, digest_size=16).hexdigest()
