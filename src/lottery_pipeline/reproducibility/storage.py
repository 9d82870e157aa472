"""Faults of disks: what cannot be written is said in one sentence, and damaged files are set aside."""

import errno
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

logger = logging.getLogger(__name__)

_PLACE = "or choose another folder with the environment variable LOTTERY_DATA_ROOT"
_FAULTS = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EFBIG: "the file would be larger than this system allows; raise the limit (ulimit -f)",
    errno.EROFS: f"the file system is read-only; make it writable, {_PLACE}",
    errno.EACCES: f"permission is missing; change it, {_PLACE}",
    errno.EPERM: f"permission is missing; change it, {_PLACE}",
    errno.ENOTDIR: f"one of its parent folders is a file; move that away, {_PLACE}",
    errno.EEXIST: f"one of its parent folders is a file; move that away, {_PLACE}",
    errno.EISDIR: "a folder of this name stands in its place; move that away",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter variant",
    errno.EIO: "the disk failed; check it",
}
_RUST = re.compile(r"\(os error (?P<number>\d+)\)")  # how safetensors words the faults of the system


class StorageError(OSError):
    """A file cannot be written, and nothing at its path has changed; the text says why and what to do."""


@contextmanager
def faults_explained(path: str | Path) -> Iterator[None]:
    """Turn what the system says while a file is written into one sentence.

    Raises:
        StorageError: the file cannot be written.
    """
    try:
        yield
    except StorageError:
        raise
    except (OSError, SafetensorError) as error:
        fault = _FAULTS.get(_find_number(error))
        if fault is None:
            raise
        raise StorageError(
            f"{path} cannot be written: {fault}. Then give the same command again: it resumes."
        ) from error


def set_aside(path: str | Path, reason: object) -> Path:
    """Rename a damaged file, so that it is kept but never blocks, and warn.

    Returns:
        Its new path: the name with ``.damaged``, and a number if there is one already.

    Raises:
        StorageError: it cannot be renamed.
    """
    path, number = Path(path), 1
    while (kept := path.with_name(f"{path.name}.damaged{number if number > 1 else ''}")).exists():
        number += 1
    with faults_explained(kept):
        path.replace(kept)
    logger.warning("%s is damaged (%s). It is kept as %s and made anew.", path, reason, kept.name)
    return kept


def _find_number(error: OSError | SafetensorError) -> int:
    if isinstance(error, OSError):
        return error.errno or 0
    found = _RUST.search(str(error))
    return int(found["number"]) if found else 0
