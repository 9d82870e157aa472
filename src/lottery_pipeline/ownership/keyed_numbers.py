"""Keyed pseudorandom numbers: the same for the same key on every machine, and unknown without it."""

import hashlib

import numpy as np
from numpy.typing import NDArray


def draw_numbers(key: bytes, label: str, count: int) -> NDArray[np.uint64]:
    """Draw ``count`` 64-bit numbers from SHAKE-256 of the key and a label.

    Args:
        key: 32 bytes.
        label: what the numbers are for; numbers of different labels are independent.
        count: how many.
    """
    stream = hashlib.shake_256(key + b"|" + label.encode()).digest(8 * count)
    return np.frombuffer(stream, dtype=">u8").astype(np.uint64)
