"""Files of strangers: never waited for, and never read further than they may reach."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from lottery_pipeline.ownership.errors import OwnershipError

_CHUNK_BYTES = 2**20


def read_file(path: str | Path, *, most: int, private: bool = False) -> bytes:
    """Read a small regular file.

    Args:
        path: of the file.
        most: bytes allowed.
        private: refuse a file that others than its owner may read or write (POSIX only).

    Raises:
        OwnershipError: the file is missing, unreadable, not regular, too large, or not private enough; the
            sentence names it.
    """
    with _opened(path) as stream:
        status = os.fstat(stream.fileno())
        if private and os.name == "posix" and status.st_mode & 0o077:
            raise OwnershipError(f"{path} may be used by others than its owner: run chmod 600 {path}")
        content = stream.read(most + 1)
    if len(content) > most:
        raise OwnershipError(f"{path} has more than the {most} bytes allowed")
    return content


def hash_file(path: str | Path) -> str:
    """Return the SHA-256 of a regular file of any size, in constant memory.

    Raises:
        OwnershipError: the file is missing, unreadable or not regular; the sentence names it.
    """
    digest = hashlib.sha256()
    with _opened(path) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _opened(path: str | Path) -> Iterator[BufferedReader]:
    try:
        # Without blocking, because opening a pipe would wait for its other end forever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OwnershipError(f"{path} is not a regular file")
        with os.fdopen(descriptor, "rb") as stream:
            yield stream
    except OSError as error:
        raise OwnershipError(f"{path} cannot be read: {error.strerror or error}") from error
