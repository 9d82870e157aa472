"""Merkle trees: one published hash commits to many secrets, each of which can be shown alone.

The tree is that of Certificate Transparency (RFC 6962, section 2.1; the check is that of RFC 9162, section
2.1.3.2), without its empty tree. Leaves and inner nodes are hashed with different prefixes, so no inner node
can be passed off as a leaf.
"""

from collections.abc import Sequence
from hashlib import sha256

from lottery_pipeline.ownership.errors import OwnershipError

DIGEST_BYTES = 32
# A path of this many hashes belongs to a tree of more leaves than can exist.
_LONGEST_PATH = 64


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root hash of a list of leaves: 32 bytes.

    Args:
        leaves: at least one, each of any length; their order counts.

    Raises:
        OwnershipError: there are no leaves.
    """
    if not leaves:
        raise OwnershipError("a Merkle tree needs at least one leaf")
    if len(leaves) == 1:
        return _hash_leaf(leaves[0])
    split = _split(len(leaves))
    return _hash_node(merkle_root(leaves[:split]), merkle_root(leaves[split:]))


def merkle_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the hashes that lead from one leaf to the root, the one beside the leaf first.

    Raises:
        OwnershipError: there is no leaf of this index.
    """
    if not 0 <= index < len(leaves):
        raise OwnershipError(f"a Merkle tree of {len(leaves)} leaves has no leaf {index}")
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*merkle_path(leaves[:split], index), merkle_root(leaves[split:])]
    return [*merkle_path(leaves[split:], index - split), merkle_root(leaves[:split])]


def check_path(root: bytes, leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bool:
    """Return whether a leaf stands at a place in the tree of a root.

    Nothing about the path is trusted: one that is too long, or whose hashes have another length, is refused.

    Args:
        root: 32 bytes, known from a source that is trusted.
        leaf: content of the leaf.
        index: its place, from 0.
        count: leaves of the tree, known from the source of the root.
        path: from ``merkle_path``.
    """
    if not 0 <= index < count or len(path) > _LONGEST_PATH:
        return False
    if any(not isinstance(digest, bytes) or len(digest) != DIGEST_BYTES for digest in path):
        return False
    place, last, found = index, count - 1, _hash_leaf(leaf)
    for digest in path:
        if last == 0:
            return False
        if place % 2 or place == last:
            found = _hash_node(digest, found)
            while place and place % 2 == 0:  # this level has no right neighbour
                place, last = place // 2, last // 2
        else:
            found = _hash_node(found, digest)
        place, last = place // 2, last // 2
    return last == 0 and found == root


def _split(count: int) -> int:
    """Return the largest power of two below a count of at least two."""
    return 1 << (count - 1).bit_length() - 1


def _hash_leaf(leaf: bytes) -> bytes:
    return sha256(b"\x00" + leaf).digest()


def _hash_node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()
