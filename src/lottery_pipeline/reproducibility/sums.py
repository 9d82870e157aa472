"""Sums of files that a run reads back: an edit or damage is found before its numbers are used.

The sums of a file lie beside it, in the folder ``.sums``: the file itself keeps its plain form, and who means
to change it removes its sum.
"""

import hashlib
import json
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path

from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.reproducibility.fingerprints import fingerprint

logger = logging.getLogger(__name__)

FOLDER = ".sums"

Digest = Callable[[bytes], str]


class ChangedFileError(ValueError):
    """A file that is not as it was written."""


def write_with_sum(path: Path, content: bytes, digest: Digest) -> None:
    """Write a file atomically, and its sum.

    The sum comes first and the one of the old content stays beside it. So neither a kill between the two nor
    a reader at that moment finds a file without its sum.

    Args:
        path: of the file.
        content: what to write.
        digest: ``sum_json`` or ``sum_bytes``.

    Raises:
        StorageError: one of the two cannot be written; the file is as it was.
    """
    sums = [digest(content)]
    if known := _read_sums(path):
        sums += {digest(path.read_bytes())} & known if path.is_file() else ()
    write_atomically(find_sum(path), "".join(f"{one}\n" for one in sums).encode())
    write_atomically(path, content)


def check_sum(path: Path, content: bytes, digest: Digest) -> None:
    """Compare a file with its sum. This finds edits and damage, not forgery.

    Args:
        path: of the file; one without a sum, from an older version or another hand, is taken as it is.
        content: what was read from it.
        digest: as it was when the file was written.

    Raises:
        ChangedFileError: the file was changed after it was written.
    """
    known = _read_sums(path)
    if not known:
        _tell_of_none(path.parent)
    elif digest(content) not in known:
        raise ChangedFileError(
            f"{path} was changed after it was written; put the old file back, or run the pipeline that makes "
            f"it, or remove {find_sum(path)} if it is meant to be so"
        )


def remove_with_sum(path: Path) -> None:
    """Remove a file, if there is one, and its sum."""
    path.unlink(missing_ok=True)
    find_sum(path).unlink(missing_ok=True)


def find_sum(path: Path) -> Path:
    """Return the path of the sums of a file, a line each."""
    return path.parent / FOLDER / f"{path.name}.sha256"


def sum_bytes(content: bytes) -> str:
    """Return the SHA-256 of every byte."""
    return hashlib.sha256(content).hexdigest()


def sum_json(content: bytes) -> str:
    """Return the SHA-256 of a JSON value, however it is laid out; of the bytes, if it is not JSON."""
    try:
        return fingerprint({"content": json.loads(content)})
    except (ValueError, RecursionError):
        return sum_bytes(content)


def _read_sums(path: Path) -> set[str]:
    try:
        return set(find_sum(path).read_text(encoding="ascii", errors="replace").split())
    except (FileNotFoundError, NotADirectoryError):
        return set()


@cache
def _tell_of_none(folder: Path) -> None:
    """Say it once for each folder."""
    logger.info("Files in %s are of an older version, without sums of their content; they are read.", folder)
