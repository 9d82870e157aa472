"""Keyed pseudorandom numbers: the same for the same key on every machine, and unknown without it."""

import hashlib

import numpy as np
from numpy.typing import NDArray

_PART = 2**20  # places


def draw_numbers(key: bytes, label: str, count: int) -> NDArray[np.uint64]:
    """Draw ``count`` 64-bit numbers from SHAKE-256 of the key and a label.

    Args:
        key: 32 bytes.
        label: what the numbers are for; numbers of different labels are independent.
        count: how many.
    """
    return _squeeze(key, label, count).astype(np.uint64)


def choose_places(key: bytes, label: str, allowed: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """Return the allowed places with the smallest numbers, smallest first, int64 ``[count]``.

    Args:
        key: 32 bytes.
        label: as for ``draw_numbers``, whose numbers belong to the places one by one.
        allowed: bool ``[places]``.
        count: how many; at most as many as are allowed.
    """
    numbers = _squeeze(key, label, len(allowed))
    best = np.empty(0, dtype=np.int64)
    for first in range(0, len(allowed), _PART):  # sorting all of a large layer would take gigabytes
        best = np.concatenate([best, first + np.flatnonzero(allowed[first : first + _PART])])
        if len(best) > count:
            best = best[np.argpartition(numbers[best], count)[:count]]
    return best[np.argsort(numbers[best])]


def _squeeze(key: bytes, label: str, count: int) -> NDArray[np.uint64]:
    """Return the numbers as they lie in the stream, so that they are in memory only once."""
    stream = hashlib.shake_256(key + b"|" + label.encode()).digest(8 * count)
    return np.frombuffer(stream, dtype=">u8")
