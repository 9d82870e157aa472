"""Naive twin of the QR code: version 3-H read module by module, as ISO/IEC 18004 lays it out."""

import numpy as np
from reedsolo import ReedSolomonError, RSCodec

SIDE = 29
Module = tuple[int, int]


def function_modules() -> set[Module]:
    """Return the modules of finders, separators, timing, alignment, format and the dark module."""
    modules: set[Module] = set()
    for row in range(8):
        for column in range(8):  # a finder of 7 x 7 and its separator
            modules |= {(row, column), (row, SIDE - 1 - column), (SIDE - 1 - row, column)}
    for place in range(SIDE):
        modules |= {(6, place), (place, 6)}
    for row in range(20, 25):
        for column in range(20, 25):
            modules.add((row, column))
    for place in range(9):
        modules |= {(8, place), (place, 8)}
    for place in range(8):
        modules |= {(8, SIDE - 1 - place), (SIDE - 1 - place, 8)}  # the last one up is the dark module
    return modules


def data_modules() -> list[Module]:
    """Return the data modules in reading order: pairs of columns from the right, upwards first."""
    functions = function_modules()
    order: list[Module] = []
    upwards = True
    for right in (28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 5, 3, 1):  # column 6 is timing
        rows = range(SIDE - 1, -1, -1) if upwards else range(SIDE)
        for row in rows:
            order += [(row, column) for column in (right, right - 1) if (row, column) not in functions]
        upwards = not upwards
    return order


def read_codewords(light: np.ndarray) -> list[int]:
    """Return the 70 codewords of a symbol [29, 29], True = light, with mask pattern 0."""
    bits = [int(not light[row, column]) ^ ((row + column) % 2 == 0) for row, column in data_modules()]
    return [int("".join(str(int(bit)) for bit in bits[start : start + 8]), 2) for start in range(0, 560, 8)]


def decode_naive(light: np.ndarray) -> bytes | None:
    """Return the text of a symbol in byte mode; None if one of its two blocks cannot be repaired."""
    codewords = read_codewords(light)
    content = bytearray()
    for block in range(2):
        try:
            content += RSCodec(22).decode(bytes(codewords[block::2]))[0]
        except ReedSolomonError:
            return None
    if content[0] >> 4 != 0b0100:  # byte mode
        return None
    stream = int.from_bytes(content, "big")
    length = stream >> (26 * 8 - 12) & 0xFF
    return bytes(stream >> (26 * 8 - 20 - 8 * place) & 0xFF for place in range(length))


def find_window_naive(cells: list[np.ndarray], light: np.ndarray) -> tuple[int, int, int, int]:
    """Return equal modules, layer, row and column of the first best window."""
    best = (-1, 0, 0, 0)
    for layer, grid in enumerate(cells):
        for row in range(grid.shape[0] - SIDE + 1):
            for column in range(grid.shape[1] - SIDE + 1):
                equal = int((grid[row : row + SIDE, column : column + SIDE] == light).sum())
                if equal > best[0]:
                    best = (equal, layer, row, column)
    return best
