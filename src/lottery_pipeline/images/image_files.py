"""Files below a folder: the one walk that all image sources share."""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from lottery_pipeline.images.request import ImageError
from lottery_pipeline.reproducibility.files import describe_state

SUFFIXES = (".jpg", ".jpeg", ".png")
IGNORED_NAMES = frozenset({"__macosx", "thumbs.db", "desktop.ini"})  # what systems leave; lower case


class FoundFile(NamedTuple):
    """A regular file.

    Attributes:
        path: of the file, below the folder that was walked.
        depth: number of folders between the two.
        state: of ``describe_state``.
    """

    path: str
    depth: int
    state: str


def is_ignored(name: str) -> bool:
    """Whether a file or folder is hidden, or one that an operating system leaves in every folder."""
    return name.startswith(".") or name.lower() in IGNORED_NAMES


def is_image(path: str) -> bool:
    """Whether a file has the suffix of an image."""
    return path.lower().endswith(SUFFIXES)


def list_subfolders(folder: Path) -> list[str]:
    """List the folders in a folder and the links to folders, sorted by name; ignored ones are left out.

    Raises:
        ImageError: a link leads nowhere.
        OSError: the folder cannot be listed.
    """
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if not is_ignored(e.name) and stat.S_ISDIR(_follow(e).st_mode))


def list_files(folder: str | Path, visited: dict[tuple[int, int], str] | None = None) -> list[FoundFile]:
    """List the files in a folder and below it, sorted by path; ignored ones are left out.

    Links to folders are followed.

    Args:
        folder: where to begin.
        visited: folders that were read before, path by device and inode. Those that are read now are added.

    Raises:
        ImageError: a link leads nowhere or to a folder that was read already, so that its images would count
            twice, or something is neither a file nor a folder.
        OSError: a folder cannot be listed.
    """
    return sorted(_walk(str(folder), {} if visited is None else visited))


def _walk(top: str, visited: dict[tuple[int, int], str]) -> Iterator[FoundFile]:
    folders = [(top, 0)]
    while folders:
        folder, depth = folders.pop()
        status = Path(folder).stat()
        other = visited.setdefault((status.st_dev, status.st_ino), folder)
        if other != folder:
            raise ImageError(
                f"{other} and {folder} are one folder because of a link, so its images would count twice: "
                "remove the link"
            )
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_ignored(entry.name):
                    continue
                status = _follow(entry)
                if stat.S_ISREG(status.st_mode):
                    yield FoundFile(entry.path, depth, describe_state(status))
                elif stat.S_ISDIR(status.st_mode):
                    folders.append((entry.path, depth + 1))
                else:
                    raise ImageError(f"{entry.path} is not a regular file or a folder: remove it")


def _follow(entry: os.DirEntry[str]) -> os.stat_result:
    try:
        return entry.stat()
    except OSError as error:
        if not entry.is_symlink():
            raise
        raise ImageError(f"the link {entry.path} cannot be followed: {error.strerror}") from error


def digest_files(root: Path, files: Iterable[FoundFile]) -> str:
    """Return a SHA-256 that changes with the paths below a root, and with the states of their files."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.path[len(str(root)) :]}\0{file.state}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
