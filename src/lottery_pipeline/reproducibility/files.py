"""Files: written so that a reader sees the old content or the new, and read only if they are regular."""

import errno
import glob
import os
import re
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lottery_pipeline.reproducibility.storage import faults_explained

_WRITER = re.compile(r"\.(?P<pid>[0-9]{1,9})@(?P<host>.+)\.[^.]+\.tmp$")


@contextmanager
def replace_atomically(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path on the same disk; the file written there replaces ``path`` in the end.

    The parent folder is made. The temporary file lies in a folder of its own beside ``path``, because
    libraries write further files beside theirs; it is removed when the block raises. The folder's name says
    which process writes, so that others can tell a file being written from one that a kill has left.
    What killed processes have left of this ``path`` is removed.

    Raises:
        StorageError: the file cannot be written; what was there before is untouched.
    """
    path = Path(path)
    with faults_explained(path):
        yield from _replace(path)


def _replace(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_left_overs(path)
    folder = Path(tempfile.mkdtemp(prefix=name_writer(path), suffix=".tmp", dir=path.parent))
    temporary = folder / path.name
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        # Some libraries make files private; the result should follow the user's umask like any other file.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    finally:
        discard(folder)


def name_writer(path: Path) -> str:
    """Return how the name of a temporary file or folder beside a path begins; it tells who writes it."""
    return f".{path.name}.{os.getpid()}@{socket.gethostname()}."


def remove_left_overs(path: Path) -> None:
    """Remove what killed processes have left of unfinished versions of a file."""
    for temporary in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        if is_left_over(temporary):
            discard(temporary)


def discard(temporary: Path) -> None:
    """Remove a temporary folder, or the temporary file of an older version; another may do so first."""
    if temporary.is_dir():
        shutil.rmtree(temporary, ignore_errors=True)
    else:
        temporary.unlink(missing_ok=True)


def is_left_over(temporary: Path) -> bool:
    """Whether a temporary folder of ``replace_atomically`` is known to have no writer any more."""
    writer = _WRITER.search(temporary.name)
    if writer is None:  # written by a version that did not name its process
        return True
    return writer["host"] == socket.gethostname() and not is_running(int(writer["pid"]))


def is_running(pid: int) -> bool:
    """Whether a process of this machine is running."""
    if os.name == "nt":  # there, signal 0 is a real signal, not a check
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write ``content`` to ``path`` so that a crash at any moment leaves a whole file."""
    with replace_atomically(path) as temporary:
        temporary.write_bytes(content)


def stat_regular(path: str | Path) -> os.stat_result:
    """Return the status of a file that may be opened: opening a pipe would wait for its other end forever.

    Call it before anything opens a path that a user gave or that lies in a folder of others.

    Raises:
        OSError: there is no such file, or it is a folder, a pipe, a socket or a device.
    """
    status = Path(path).stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return status


def describe_state(status: os.stat_result) -> str:
    """Return a text that changes when a file is written to or replaced, also by one of equal size and time.

    It holds size, inode, and the times at which content and inode changed. It costs no reading. It also
    changes when a file is copied or gets other permissions. It stays if the content changes and none of the
    four does: through a device below the file system, or after the clock was set back. Windows keeps neither
    inode nor the second time in a listing of a folder, so size and time of change alone tell there.
    """
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
