"""The payload of a mark: sixteen bytes of a credential's hash, with enough redundancy to survive damage."""

import numpy as np
import reedsolo
from numpy.typing import NDArray

from lottery_pipeline.ownership.carriers import GROUP, SYMBOL_BITS
from lottery_pipeline.ownership.keyed_numbers import draw_numbers
from lottery_pipeline.ownership.statements import PAYLOAD_BYTES

CODE_BYTES = 48  # Reed-Solomon (48, 16): repairs 16 wrong bytes, or 32 known to be missing
SYMBOLS = CODE_BYTES * 8 // SYMBOL_BITS  # 128

_CODE = reedsolo.RSCodec(CODE_BYTES - PAYLOAD_BYTES)


def encode_payload(payload: bytes, count: int) -> NDArray[np.int64]:
    """Return the symbols, 0 to 7, of ``count`` groups; from the 129th on they are repeated."""
    code = np.frombuffer(bytes(_CODE.encode(payload)), dtype=np.uint8)
    symbols = np.unpackbits(code).reshape(SYMBOLS, SYMBOL_BITS) @ np.array([4, 2, 1])
    return symbols[np.arange(count) % SYMBOLS]


def draw_targets(key: bytes, payload: bytes, count: int, trial: int = 0) -> NDArray[np.int64]:
    """Return which carrier of each group is to be kept: the symbols, whitened with keyed numbers.

    Args:
        key: K_mask.
        payload: 16 bytes.
        count: groups.
        trial: number of the whitening; an owner who tries 2^g of them to save edits pays g bits.
    """
    return encode_payload(payload, count) ^ _whitening(key, count, trial)


def decode_payload(scores: NDArray[np.float64], key: bytes, trial: int = 0) -> bytes | None:
    """Decode what a reader has seen: the copies of a symbol are added up, then errors are repaired.

    Args:
        scores: ``[groups, 8]``, the magnitude of each carrier, 0 where the suspect lacks it.
        key: K_mask.
        trial: number of the whitening.

    Returns:
        The payload, or None if there is too much damage.
    """
    count = len(scores)
    largest = scores.max(1, keepdims=True)
    shares = np.divide(scores, largest, out=np.zeros_like(scores), where=largest > 0)
    places = np.arange(GROUP)[None, :] ^ _whitening(key, count, trial)[:, None]
    votes = np.zeros((SYMBOLS, GROUP))
    np.add.at(votes, np.arange(count) % SYMBOLS, np.take_along_axis(shares, places, axis=1))
    symbols = votes.argmax(1)
    unclear = (votes == votes.max(1, keepdims=True)).sum(1) > 1
    bits = (symbols[:, None] >> np.array([2, 1, 0])) & 1
    code = np.packbits(bits.reshape(-1).astype(np.uint8))
    missing = np.flatnonzero(np.repeat(unclear, SYMBOL_BITS).reshape(CODE_BYTES, 8).any(1))
    try:
        message, _, _ = _CODE.decode(bytearray(code.tobytes()), erase_pos=missing.tolist())
    except reedsolo.ReedSolomonError:
        return None
    return bytes(message)


def _whitening(key: bytes, count: int, trial: int) -> NDArray[np.int64]:
    return (draw_numbers(key, f"whitening/{trial}", count) & np.uint64(GROUP - 1)).astype(np.int64)
