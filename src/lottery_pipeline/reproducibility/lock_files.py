"""Files under ``flock``, and what they contain: who holds the lock, a JSON line for each process."""

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lottery_pipeline.reproducibility.files import is_running
from lottery_pipeline.reproducibility.storage import faults_explained

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_NOT_SUPPORTED = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


class NoLocksError(OSError):
    """This file system, or this operating system, cannot lock files."""


@dataclass(frozen=True)
class Holder:
    """A process that holds a lock: its number, its machine, when its run began, and what it works with."""

    pid: int
    host: str
    started: str
    digest: str = ""

    @property
    def is_gone(self) -> bool:
        """Whether the process is known to be dead; on other machines this cannot be known."""
        return self.host == socket.gethostname() and not is_running(self.pid)


def open_lock(path: Path) -> int:
    """Open a lock file, made if there is none; return its descriptor.

    Raises:
        StorageError: it cannot be written.
    """
    with faults_explained(path):
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """Open a lock file, made if there is none, and close it at the end."""
    descriptor = open_lock(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(descriptor: int, *, shared: bool, wait: bool = False) -> bool:
    """Lock an open file.

    Args:
        descriptor: descriptor of the file.
        shared: several may hold it, none exclusively.
        wait: wait until it is free.

    Returns:
        Whether that was possible.

    Raises:
        NoLocksError: files cannot be locked here.
    """
    if fcntl is None:
        raise NoLocksError(errno.ENOSYS, "this system has no flock")
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NOT_SUPPORTED:
            raise NoLocksError(error.errno, str(error)) from error
        raise
    return True


def read_holders(descriptor: int) -> list[Holder]:
    """Read the holders of a lock; a line that a killed process left unfinished names nobody."""
    text = os.pread(descriptor, 2**20, 0).decode(errors="replace")
    holders = []
    for line in text.splitlines():
        try:
            holders.append(Holder(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return holders


def write_holders(descriptor: int, holders: list[Holder]) -> None:
    """Write the holders of a lock, in place: a new file would be another lock."""
    content = "".join(f"{json.dumps(asdict(holder))}\n" for holder in holders).encode()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, content, 0)


def find_users(descriptor: int) -> list[int]:
    """Return the processes of this machine that have a file open, except this one; only Linux can tell."""
    wanted = os.fstat(descriptor)
    users = []
    for process in _list(Path("/proc")):
        if process.name.isdecimal() and int(process.name) != os.getpid():
            for entry in _list(process / "fd"):
                with suppress(OSError):  # closed meanwhile
                    found = entry.stat()
                    if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                        users.append(int(process.name))
                        break
    return sorted(users)


def _list(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # not Linux, a process that has ended, or one of another user
        return []
