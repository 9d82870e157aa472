"""Pixels of the corruptions: bytes to numbers in [0, 1] and back, and one random draw for each image."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.random import Generator

# A rounding error of a filter may leave a value this far below the whole number that it is.
_ROUNDING = 1e-6


def to_unit(images: np.ndarray) -> np.ndarray:
    """Return uint8 pixels as float64 in [0, 1]."""
    return images / 255.0


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Clip numbers to [0, 1] and return them as uint8, cut off and not rounded.

    The published files are cut off too. Deviation: what lies less than 1e-6 of a grey level below a whole
    number counts as that number, so that no rounding error costs a level.
    """
    return (values.clip(0, 1) * 255 + _ROUNDING).astype(np.uint8)


def draw_each(draw: Callable[[Generator], np.ndarray], generators: Iterable[Generator]) -> np.ndarray:
    """Return one draw for each image, stacked: each depends on the generator of its image alone."""
    return np.stack([draw(generator) for generator in generators])
