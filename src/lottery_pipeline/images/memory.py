"""How much memory is free, and refusing what would not fit before anything is allocated."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from lottery_pipeline.images.request import ImageError, Storage

FALLBACK_BYTES = 8 * 2**30  # where no system says how much there is
IMAGES_PER_CHUNK = 1024
VALUES_PER_CHUNK = 2**24  # four bytes each where numbers are added up
# How many times the pixels a run takes: training keeps them, and a padded copy of up to twice the size.
COPIES_IN_USE = 3
CAN_READ_ANYWHERE = hasattr(os, "preadv")  # from many threads at once; Windows cannot
_V2 = ("memory.max", "memory.current", "inactive_file ")
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ")


def check_memory(size_bytes: int, what: str) -> None:
    """Raise unless ``size_bytes`` fits in the memory that is free.

    Raises:
        ImageError: it does not fit; names ``what`` and what to do.
    """
    limit = free_bytes()
    if size_bytes > limit:
        gib = 2**30
        raise ImageError(
            f"{what} would take {size_bytes / gib:.1f} GiB, but {limit / gib:.1f} GiB of memory are free: "
            "set data.image_size or data.train_limit to a smaller value"
        )


def choose_storage(wanted: Literal["auto"] | Storage, size_bytes: int) -> Storage:
    """Say where prepared pixels are while they are in use.

    Args:
        wanted: ``auto`` takes memory where all that a training makes of them fits in the memory that is free.
        size_bytes: of the pixels.
    """
    if wanted != "auto":
        return wanted
    return "memory" if COPIES_IN_USE * size_bytes <= free_bytes() or not CAN_READ_ANYWHERE else "disk"


def count_per_chunk(values_per_image: int) -> int:
    """Return how many images to compute with at a time: 1,024, or fewer if they are large."""
    return max(1, min(IMAGES_PER_CHUNK, VALUES_PER_CHUNK // max(1, values_per_image)))


def free_bytes(root: Path = Path("/")) -> int:
    """Return how much memory this process may still take: the least that system, containers and limits leave.

    Linux tells what is available, and what a control group (a container, a batch job) may take beside the
    pages that can be dropped. Other systems tell the memory there is; where none tells, 8 GiB are assumed.

    Args:
        root: of the file system; another one in tests.
    """
    known = [*_ask_system(root), *_ask_groups(root), *_ask_limits(root)]
    return max(0, min(known, default=FALLBACK_BYTES))


def _ask_system(root: Path) -> Iterator[int]:
    available = _find_number(root / "proc/meminfo", "MemAvailable:")
    if available is not None:
        yield available * 1024
        return
    try:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not a POSIX system, or one that does not say
        return


def _ask_groups(root: Path) -> Iterator[int]:
    """Yield what the control groups of this process leave, from its own up to the one that holds all."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        limit_file, usage_file, droppable = _V1 if controllers else _V2
        folder = top / path.strip("/")
        # In a container the path may be that of the host: then the group is mounted at the top.
        for group in [folder, *folder.parents][: len(folder.parts) - len(top.parts) + 1]:
            limit, usage = _find_number(group / limit_file), _find_number(group / usage_file)
            if limit is not None and usage is not None:
                yield limit - usage + (_find_number(group / "memory.stat", droppable) or 0)


def _ask_limits(root: Path) -> Iterator[int]:
    """Yield what ``ulimit -v`` leaves."""
    if sys.platform == "win32":
        return
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    taken = _find_number(root / "proc/self/statm")
    if limit != resource.RLIM_INFINITY and taken is not None:
        yield limit - taken * resource.getpagesize()


def _find_number(path: Path, name: str = "") -> int | None:
    """Return the number after a name at the beginning of a line; None if there is none, or "max"."""
    for line in _read(path).splitlines():
        if line.startswith(name):
            words = line[len(name) :].split()
            return int(words[0]) if words and words[0].isdigit() else None
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # another system, or a controller that is not mounted
        return ""
