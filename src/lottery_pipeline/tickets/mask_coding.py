"""The code of a mask in a ticket's file: near its entropy, and never longer than a bit per weight.

A mask of n weights, k of them kept, has m = min(k, n - k) marked places: the kept weights, or the pruned ones
where those are fewer. Its code is one of three, and n and k alone say which:

- all kept or none kept: no bytes;
- gaps: the number of weights skipped before each marked place, in Rice code (R. F. Rice, JPL 79-22, 1979):
  first the r low bits of every gap, then the high bits of every gap as so many 0s and a 1. Both parts are
  padded with 0s to whole bytes. 2**r is the greatest power of two that is not above the mean gap, which
  makes the longest possible code shortest; as n and k give it, it is not in the file;
- bits: one per weight, where gaps could take as many bytes.

The most significant bit of a byte is the first.

So a mask has exactly one code, and its greatest length is known before a byte is read.
"""

import numpy as np
from numpy.typing import NDArray

from lottery_pipeline.tickets.errors import TicketError

Bytes = NDArray[np.uint8]

BLOCK = 2**16  # gaps or bits looked at together: memory does not grow with the mask; a multiple of 8


def longest_code(size: int, kept: int) -> int:
    """Return the greatest length that the code of such a mask can have, in bytes."""
    if kept in (0, size):
        return 0
    return min(_longest_gaps(size, kept), -(-size // 8))


def encode_mask(mask: NDArray[np.bool_]) -> bytes:
    """Return the code of a flat mask."""
    size, kept = mask.size, int(np.count_nonzero(mask))
    if kept in (0, size):
        return b""
    if not _has_gaps(size, kept):
        return np.packbits(mask).tobytes()
    places = np.flatnonzero(mask if 2 * kept < size else ~mask)
    gaps = np.diff(places, prepend=-1) - 1
    low = _low_bits(size, kept)
    ends = np.cumsum((gaps >> low) + 1)
    high = np.zeros(int(ends[-1]), dtype=np.bool_)
    high[ends - 1] = True
    blocks = (gaps[start : start + BLOCK] for start in range(0, len(gaps), BLOCK))
    return (
        b"".join(np.packbits(_split(block, low)).tobytes() for block in blocks) + np.packbits(high).tobytes()
    )


def decode_mask(code: Bytes, *, size: int, kept: int, name: str) -> tuple[Bytes, int]:
    """Decode the mask at the start of ``code`` and refuse everything ``encode_mask`` would not have written.

    Args:
        code: what is left of the file's codes; no more than ``longest_code`` bytes are looked at.
        size: number of weights, at least 1.
        kept: number of kept weights, 0 to ``size``.
        name: of the layer, for errors.

    Returns:
        One bit per weight, most significant first, spare bits 0; the number of bytes the code has.

    Raises:
        TicketError: the code is cut off, is not of ``kept`` weights, or is not the only one of its mask.
    """
    if kept in (0, size):
        return _fill(size, kept > 0), 0
    if _has_gaps(size, kept):
        marked, used = _decode_gaps(code, size, kept, name)
        if 2 * kept > size:
            np.bitwise_xor(marked, _fill(size, on=True), out=marked)
        return marked, used
    used = -(-size // 8)
    if len(code) < used:
        raise TicketError(f"the mask of {name} is cut off")
    check_bits(code[:used], size=size, kept=kept, name=name)
    return code[:used], used


def check_bits(bits: Bytes, *, size: int, kept: int, name: str) -> None:
    """Check the number of bits that are set, and that the spare ones are not.

    Raises:
        TicketError: they are not those of such a mask.
    """
    blocks = (bits[start : start + BLOCK] for start in range(0, len(bits), BLOCK))
    if sum(int(np.bitwise_count(block).sum(dtype=np.int64)) for block in blocks) != kept:
        raise TicketError(f"the mask of {name} does not have {kept} bits set")
    if int(bits[-1]) & ((1 << -size % 8) - 1):
        raise TicketError(f"the mask of {name} has bits set beyond its end")


def _low_bits(size: int, kept: int) -> int:
    marked = min(kept, size - kept)
    return ((size - marked) // marked).bit_length() - 1


def _longest_gaps(size: int, kept: int) -> int:
    marked, low = min(kept, size - kept), _low_bits(size, kept)
    return -(-marked * low // 8) - (-(marked + ((size - marked) >> low)) // 8)


def _has_gaps(size: int, kept: int) -> bool:
    return _longest_gaps(size, kept) < -(-size // 8)


def _decode_gaps(code: Bytes, size: int, kept: int, name: str) -> tuple[Bytes, int]:
    """Return one bit per weight for the marked places, and the length of the code."""
    count, low = min(kept, size - kept), _low_bits(size, kept)
    high = code[-(-count * low // 8) : _longest_gaps(size, kept)]
    marked = np.zeros(-(-size // 8), dtype=np.uint8)
    done, end, place = 0, -1, -1  # gaps decoded, last 1 among the high bits, last marked place
    for start in range(0, 8 * len(high), BLOCK):
        ones = np.flatnonzero(_cut(high, start, min(start + BLOCK, 8 * len(high))))[: count - done] + start
        if len(ones) == 0:
            continue
        rest = _join(_cut(code, done * low, (done + len(ones)) * low), len(ones), low)
        places = place + np.cumsum(((np.diff(ones, prepend=end) - 1) << low) + rest + 1)
        if places[-1] >= size:
            raise TicketError(f"the mask of {name} has a gap that leads beyond its end")
        np.bitwise_or.at(marked, places >> 3, (128 >> (places & 7)).astype(np.uint8))
        done, end, place = done + len(ones), int(ones[-1]), int(places[-1])
        if done == count:
            break
    if done < count:
        raise TicketError(f"the mask of {name} is cut off")
    length = end // 8 + 1
    if _cut(code, count * low, -(-count * low // 8) * 8).any() or _cut(high, end + 1, 8 * length).any():
        raise TicketError(f"the code of the mask of {name} is not padded with zeros")
    return marked, -(-count * low // 8) + length


def _fill(size: int, on: bool) -> Bytes:
    bits = np.full(-(-size // 8), 255 * on, dtype=np.uint8)
    bits[-1] &= 256 - (1 << -size % 8)
    return bits


def _cut(code: Bytes, begin: int, end: int) -> Bytes:
    """Return the bits from ``begin`` to ``end``, one a byte."""
    return np.unpackbits(code[begin // 8 : -(-end // 8)])[begin % 8 : begin % 8 + end - begin]


def _split(gaps: NDArray[np.int64], low: int) -> Bytes:
    """Return the low bits of gaps, one a byte, flat."""
    columns = gaps.astype(">u4").view(np.uint8).reshape(-1, 4)
    return np.unpackbits(columns, axis=1)[:, 32 - low :].reshape(-1)


def _join(bits: Bytes, count: int, low: int) -> NDArray[np.int64]:
    """Undo ``_split``."""
    columns = np.zeros((count, 32), dtype=np.uint8)
    columns[:, 32 - low :] = bits.reshape(count, low)
    return np.packbits(columns, axis=1).view(">u4").reshape(-1).astype(np.int64)
