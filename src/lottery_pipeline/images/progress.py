"""Progress of a long read: a bar on a terminal, plain lines in a log."""

import logging
import sys
import time
from collections.abc import Iterable

from tqdm import tqdm

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 10.0


def report_progress(finished: Iterable[int], *, total: int, label: str) -> None:
    """Consume ``finished`` and show how far it has got.

    Args:
        finished: yields the number of images done since the last time.
        total: how many there are.
        label: what is being done, e.g. "decoding images".
    """
    if sys.stderr.isatty():
        with tqdm(total=total, desc=label, unit="image", unit_scale=True) as bar:
            for count in finished:
                bar.update(count)
        return
    done, start = 0, time.monotonic()
    last_line = start
    for count in finished:
        done += count
        now = time.monotonic()
        if now - last_line >= SECONDS_BETWEEN_LINES and done < total:
            last_line = now
            left = (now - start) / done * (total - done)
            logger.info("%s: %d of %d, %.0f s left", label, done, total, left)
