"""Refusing images that cannot fit in memory, before anything is allocated."""

import os

from lottery_pipeline.images.request import ImageError

FALLBACK_BYTES = 16 * 2**30


def check_memory(size_bytes: int, what: str) -> None:
    """Raise unless ``size_bytes`` fits in the machine's physical memory.

    Raises:
        ImageError: it does not fit; names ``what`` and what to do.
    """
    limit = _physical_bytes()
    if size_bytes > limit:
        gib = 2**30
        raise ImageError(
            f"{what} would take {size_bytes / gib:.1f} GiB of the {limit / gib:.1f} GiB of memory: "
            "set data.image_size or data.train_limit to a smaller value"
        )


def _physical_bytes() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not a POSIX system, or one that does not say
        return FALLBACK_BYTES
