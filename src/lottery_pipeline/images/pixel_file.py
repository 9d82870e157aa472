"""A file whose bytes are read where they are needed, and that may not change meanwhile."""

import os
import weakref
from pathlib import Path
from typing import Any

from lottery_pipeline.images.request import ImageError
from lottery_pipeline.reproducibility.files import describe_state, stat_regular


class PixelFile:
    """An open file. It is read with ``preadv``: pages of a mapped file would count as resident memory.

    A file that replaces this one is no concern of it: the old one stays open. A copy in another process opens
    the path again.

    Args:
        path: a regular file.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        stat_regular(self.path)
        self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)
        self._state = self._describe()

    @property
    def size(self) -> int:
        """Bytes in the file when it was opened."""
        return self._state[0]

    @property
    def state(self) -> str:
        """What ``describe_state`` says of the file now."""
        return describe_state(os.fstat(self._descriptor))

    def read_into(self, target: memoryview, offset: int) -> None:
        """Fill a buffer with the bytes from an offset on; threads may do so at once.

        Raises:
            ImageError: the file is shorter or cannot be read.
        """
        while target:
            try:
                count = os.preadv(self._descriptor, [target], offset)
            except OSError as error:
                raise ImageError(f"{self.path} cannot be read: {error.strerror}") from error
            if not count:
                raise ImageError(f"{self.path} was cut off while it was in use: prepare the images again")
            target, offset = target[count:], offset + count

    def move(self, path: Path) -> None:
        """Give the file another path on the same disk, in place of what is there."""
        self.path.replace(path)
        self.path = path

    def check_unchanged(self) -> None:
        """Raise if the file was written to since it was opened.

        Raises:
            ImageError: it was.
        """
        if self._describe() != self._state:
            raise ImageError(f"{self.path} was changed while it was in use: prepare the images again")

    def _describe(self) -> tuple[int, int]:
        # Not the time at which the inode changed: a new version of the file unlinks this one, which stays as
        # it is.
        status = os.fstat(self._descriptor)
        return status.st_size, status.st_mtime_ns

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "state": self._state}

    def __setstate__(self, values: dict[str, Any]) -> None:
        try:
            self.__init__(values["path"])  # type: ignore[misc]
        except OSError as error:
            raise ImageError(f"{values['path']} cannot be opened again: {error.strerror}") from error
        self._state = values["state"]
        self.check_unchanged()
