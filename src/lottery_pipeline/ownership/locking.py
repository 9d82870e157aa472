"""Locked masks: a ticket's mask is split into a locked part and a key (Algorithm 1 of arXiv 2111.00162).

The locked part can be published; who has the key puts the two together and trains. The lock protects a mask
that is not yet trained. It proves nobody's identity, and training the locked part alone may lose little.

A sealed key file is magic, length of the header (4 bytes, little-endian), header (canonical JSON), nonce (12
bytes), and the key's positions under ChaCha20-Poly1305 (RFC 8439), which authenticates all before them too.
"""

import hashlib
import hmac
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import torch
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import Field
from torch import Tensor

from lottery_pipeline.ownership.canonical_json import decode_canonical, encode
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.path_scores import Link, rank_weights, score_betweenness, score_paths
from lottery_pipeline.ownership.records import LayerName, Record, Sha256, parse_record
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.sparsity.masks import MaskError, Masks, are_nested, check_masks, count_kept
from lottery_pipeline.sparsity.selection import keep_top_k

Score: TypeAlias = Literal["omp", "ewp", "betweenness", "random"]
Shape: TypeAlias = tuple[int, ...]

MAGIC = b"LTKEY1\r\n"
MAX_HEADER_BYTES = 2**20
USER_KEY_BYTES = 32
_NONCE_BYTES, _TAG_BYTES = 12, 16
_MAX_VARINT_BYTES = 5  # 35 bits, more than any index


class _Layer(Record):
    name: LayerName
    shape: Annotated[tuple[Annotated[int, Field(ge=1, le=2**30)], ...], Field(max_length=8)]


class _Header(Record):
    format: Literal["lottery_pipeline.key"] = "lottery_pipeline.key"
    version: Literal[1] = 1
    mask_sha256: Sha256
    layers: Annotated[tuple[_Layer, ...], Field(min_length=1, max_length=4096)]


@dataclass(frozen=True)
class OpenedKey:
    """The content of a sealed key file.

    Attributes:
        masks: the key, by parameter name; True where the locked mask lacks a weight.
        mask_sha256: ``hash_masks`` of the full mask that the key completes.
    """

    masks: Masks
    mask_sha256: str


def lock_masks(
    masks: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    *,
    score: Score,
    key_size: int | None = None,
    share: float | None = None,
    links: Sequence[Link] | None = None,
    seed: int = 0,
) -> tuple[Masks, Masks]:
    """Split masks into a key of exactly n weights and the locked rest.

    The n kept weights with the highest score over all layers go to the key; ties go to the first by layer and
    index. (The paper's algorithm prints M_l > T where it means S_l > T.) ``ewp`` and ``betweenness`` score
    whole cells. Within a cell, and between cells of equal score, larger weights come first. The authors' code
    moves whole kernels instead, and so misses n.

    Args:
        masks: of the ticket, by parameter name, on the CPU.
        weights: from which the ticket is trained, by parameter name: at least the masked ones, and those of
            all links.
        score: ``omp``: absolute weight; ``ewp``: products of weights along paths; ``betweenness``: shortest
            paths; ``random``: any kept weight alike.
        key_size: n, at least 1 and less than the number of kept weights.
        share: n as a share of the kept weights instead, rounded down; in (0, 1).
        links: from ``find_links``; for ``ewp`` and ``betweenness``.
        seed: of ``random``.

    Returns:
        The key and the locked masks: disjoint, and together the masks given.

    Raises:
        OwnershipError: masks, weights, links or n do not fit.
    """
    if score not in get_args(Score):
        raise OwnershipError(f"score must be one of {', '.join(get_args(Score))}, got {score!r}")
    if missing := [name for name in masks if name not in weights]:
        raise OwnershipError(f"no weights for the masks {missing[:3]}")
    magnitudes = {name: weights[name].detach().cpu().double().abs() for name in masks}
    _check(masks, magnitudes)
    if bad := [name for name, magnitude in magnitudes.items() if not bool(magnitude.isfinite().all())]:
        raise OwnershipError(f"the weights of {bad[0]} are not all finite, so they cannot be ranked")
    size = _count_key(count_kept(masks), key_size, share)
    if score == "omp":
        scores = magnitudes
    elif score == "random":
        generator = make_generator(seed, "lock")
        scores = {name: torch.rand(mask.shape, generator=generator) for name, mask in masks.items()}
    elif not links:
        raise OwnershipError(f"score {score!r} needs the links between the layers of the network")
    else:
        find = score_paths if score == "ewp" else score_betweenness
        scores = rank_weights(find(masks, weights, links), magnitudes)
    key = keep_top_k(scores, size, within=masks)
    return key, {name: mask & ~key[name] for name, mask in masks.items()}


def hash_masks(masks: Mapping[str, Tensor]) -> str:
    """Return the SHA-256, in hexadecimal, of packed masks.

    The hashed bytes are those of ``numpy.packbits`` of each mask, flattened in C order, first entry in the
    highest bit, the last byte of each layer filled with zeros; layer after layer in the order of the mapping
    (that of the model), without names or shapes.
    """
    digest = hashlib.sha256()
    for mask in masks.values():
        digest.update(np.packbits(mask.cpu().numpy().reshape(-1)).tobytes())
    return digest.hexdigest()


def seal_key(key_masks: Mapping[str, Tensor], full_masks: Mapping[str, Tensor], user_key: bytes) -> bytes:
    """Encrypt a key for one user; its size and positions are secret, names and shapes of layers are not.

    Positions are sorted flat indices per layer, stored as differences in as few bytes as each needs. The
    nonce is a keyed hash of the content, so equal content gives equal files, and no two contents share one.

    Args:
        key_masks: of ``lock_masks``.
        full_masks: the masks that were split.
        user_key: 32 secret bytes, drawn for this user.

    Returns:
        The bytes of the file.

    Raises:
        OwnershipError: the key is empty or not part of the masks, a layer has a name or size beyond all
            bounds, or the user key has another length.
    """
    _check(key_masks, full_masks)
    if count_kept(key_masks) == 0 or not are_nested(key_masks, full_masks):
        raise OwnershipError("a key must hold at least one weight, and only weights that the full masks keep")
    layers = [{"name": name, "shape": list(mask.shape)} for name, mask in full_masks.items()]
    record = {"mask_sha256": hash_masks(full_masks), "layers": layers}
    header = encode(parse_record(_Header, record, what="header of the key file").model_dump())
    positions = b"".join(_pack_positions(key_masks[name]) for name in full_masks)
    cipher_key, nonce_key = _derive_keys(user_key)
    prefix = MAGIC + len(header).to_bytes(4, "little") + header
    nonce = hmac.digest(nonce_key, prefix + positions, "sha256")[:_NONCE_BYTES]
    return prefix + nonce + ChaCha20Poly1305(cipher_key).encrypt(nonce, positions, prefix)


def open_key(data: bytes, user_key: bytes, shapes: Mapping[str, Shape]) -> OpenedKey:
    """Decrypt a sealed key file from anywhere; all sizes are checked before memory is taken for them.

    Args:
        data: the bytes of the file.
        user_key: the 32 bytes it was sealed with.
        shapes: of the prunable weights, by parameter name, in the order of the model.

    Raises:
        OwnershipError: the file is damaged, for another model or user, or larger than any key of this model.
    """
    most = len(MAGIC) + 4 + MAX_HEADER_BYTES + _NONCE_BYTES + _TAG_BYTES
    most += sum(_MAX_VARINT_BYTES + 2 * math.prod(shape) for shape in shapes.values())
    if len(data) > most:
        raise OwnershipError(f"a key file of this model has at most {most} bytes, but this has {len(data)}")
    start = len(MAGIC) + 4
    if len(data) < start or not data.startswith(MAGIC):
        raise OwnershipError("this is not a key file of lottery_pipeline")
    length = int.from_bytes(data[len(MAGIC) : start], "little")
    if length > min(MAX_HEADER_BYTES, len(data) - start - _NONCE_BYTES - _TAG_BYTES):
        raise OwnershipError(f"the key file declares a header of {length} bytes, which it cannot hold")
    prefix, rest = data[: start + length], data[start + length :]
    try:
        content = decode_canonical(prefix[start:], most=MAX_HEADER_BYTES)
    except OwnershipError as error:
        raise OwnershipError(f"the header of the key file cannot be read: {error}") from error
    header = parse_record(_Header, content, what="header of the key file")
    if [(layer.name, layer.shape) for layer in header.layers] != list(shapes.items()):
        raise OwnershipError("the key file is for a model with other layers")
    cipher_key, _ = _derive_keys(user_key)
    try:
        positions = ChaCha20Poly1305(cipher_key).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], prefix)
    except InvalidTag as error:
        raise OwnershipError("the key file is damaged or sealed for another user") from error
    return OpenedKey(_unpack_positions(positions, shapes), header.mask_sha256)


def merge_masks(locked: Mapping[str, Tensor], key: OpenedKey) -> Masks:
    """Put locked masks and their key together.

    Returns:
        The full masks, bit-exact.

    Raises:
        OwnershipError: the two are of different models or overlap, or the result is not what was split.
    """
    _check(key.masks, locked)
    for name, mask in key.masks.items():
        if bool((mask & locked[name]).any()):
            raise OwnershipError(f"the key holds weights of {name} that the locked mask has already")
    merged = {name: mask | locked[name] for name, mask in key.masks.items()}
    if hash_masks(merged) != key.mask_sha256:
        raise OwnershipError("the key does not complete this locked mask: the SHA-256 of the result is wrong")
    return merged


def _check(masks: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> None:
    try:
        check_masks(masks, others)
    except MaskError as error:
        raise OwnershipError(str(error)) from error


def _count_key(kept: int, key_size: int | None, share: float | None) -> int:
    if (key_size is None) == (share is None):
        raise OwnershipError("give either key_size or share")
    if share is not None:
        if not 0 < share < 1:
            raise OwnershipError(f"share must be between 0 and 1, got {share!r}")
        key_size = int(share * kept)
    if key_size is None or not 1 <= key_size < kept:
        raise OwnershipError(f"a key of {kept} kept weights must hold 1 to {kept - 1}, not {key_size}")
    return key_size


def _derive_keys(user_key: bytes) -> tuple[bytes, bytes]:
    if not isinstance(user_key, bytes) or len(user_key) != USER_KEY_BYTES:
        raise OwnershipError(f"a user key must be {USER_KEY_BYTES} bytes")
    both = HKDF(SHA256(), 64, salt=None, info=b"lottery_pipeline key file 1").derive(user_key)
    return both[:32], both[32:]


def _pack_positions(mask: Tensor) -> bytes:
    """Return the number of positions and the gap before each, as varints (7 bits a byte, lowest first)."""
    positions = mask.cpu().reshape(-1).nonzero().squeeze(1).numpy()
    values = np.concatenate([[len(positions)], np.diff(positions, prepend=-1) - 1]).astype(np.uint64)
    shifts = np.arange(_MAX_VARINT_BYTES, dtype=np.uint64) * np.uint64(7)
    groups = values[:, None] >> shifts
    more = groups[:, 1:] > 0
    octets = (groups & np.uint64(127)).astype(np.uint8)
    octets[:, :-1] |= more.astype(np.uint8) << 7
    used = np.concatenate([np.ones((len(values), 1), bool), more], axis=1)
    return octets[used].tobytes()


def _unpack_positions(content: bytes, shapes: Mapping[str, Shape]) -> Masks:
    values = _read_varints(content)
    masks, start = {}, 0
    for name, shape in shapes.items():
        size = math.prod(shape)
        count = int(values[start]) if start < len(values) else size + 1
        gaps = values[start + 1 : start + 1 + count]
        if count > size or len(gaps) < count or (count and int(gaps.max()) >= size):
            raise OwnershipError(f"the key file does not hold positions of {name}")
        positions = np.cumsum(gaps + 1) - 1  # gaps are below 2**30 and at most 2**30 of them: no overflow
        if count and int(positions[-1]) >= size:
            raise OwnershipError(f"the key file holds positions beyond the end of {name}")
        mask = torch.zeros(size, dtype=torch.bool)
        mask[torch.from_numpy(positions)] = True
        masks[name] = mask.reshape(shape)
        start += 1 + count
    if start != len(values):
        raise OwnershipError("the key file holds more positions than its layers have")
    return masks


def _read_varints(content: bytes) -> npt.NDArray[np.int64]:
    octets = np.frombuffer(content, dtype=np.uint8)
    ends = np.flatnonzero(octets < 128)
    lengths = np.diff(ends, prepend=-1)
    complete = len(octets) > 0 and octets[-1] < 128 and int(lengths.max()) <= _MAX_VARINT_BYTES
    # A last byte of zero would write the same number in more bytes than it needs.
    if not complete or bool(((lengths > 1) & (octets[ends] == 0)).any()):
        raise OwnershipError("the positions in the key file are not packed as they must be")
    values = np.zeros(len(ends), dtype=np.int64)
    for place in range(_MAX_VARINT_BYTES):
        here = lengths > place
        septets = octets[ends[here] - lengths[here] + 1 + place].astype(np.int64) & 127
        values[here] |= septets << (7 * place)
    return values
