"""Marks on files that this process still needs, so that other processes leave them.

A mark is a shared lock: it goes when the process ends, however it ends.
"""

import os
import weakref
from pathlib import Path

from lottery_pipeline.reproducibility.lock_files import NoLocksError, try_lock

_all_marks: "weakref.WeakSet[FileMarks]" = weakref.WeakSet()


class FileMarks:
    """Marks of one owner; they end with it."""

    def __init__(self) -> None:
        self._descriptors: dict[Path, int] = {}
        weakref.finalize(self, _close_all, self._descriptors)
        _all_marks.add(self)

    def __reduce__(self) -> tuple[type["FileMarks"], tuple[()]]:
        return FileMarks, ()  # open files belong to one process

    def mark(self, path: Path) -> None:
        """Mark a file as it is now; one that is replaced must be marked again."""
        self.unmark(path)
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError:  # gone, or not ours to change: there is nothing to mark
            return
        self._descriptors[path] = descriptor
        try:
            try_lock(descriptor, shared=True, wait=True)  # a check by another process takes no time
        except NoLocksError:
            self.unmark(path)

    def unmark(self, path: Path) -> None:
        """Remove a mark, if there is one."""
        descriptor = self._descriptors.pop(path, None)
        if descriptor is not None:
            os.close(descriptor)


def is_used_elsewhere(path: Path) -> bool:
    """Whether another process has marked a file; False if files cannot be locked.

    The marks of this process are removed, because the caller is about to remove the file.
    """
    for marks in list(_all_marks):
        marks.unmark(path)
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        return not try_lock(descriptor, shared=False)
    except NoLocksError:
        return False
    finally:
        os.close(descriptor)


def _close_all(descriptors: dict[Path, int]) -> None:
    for descriptor in descriptors.values():
        os.close(descriptor)
    descriptors.clear()
