"""Carriers: the weights in whose mask a mark is hidden, chosen by a key that only the owner has.

Carriers come in groups of eight weights of one layer. Exactly one of the eight is kept, and which one is a
symbol of three bits. So each group keeps the count of its layer predictable, and whoever does not know the
key can guess its symbol with probability 1/8, whatever the mask looks like.

Only weights between channels that are alive in the unmarked ticket are carriers. A dead channel (without a
kept weight in that layer) cannot be told from another dead one once channels are permuted.

The published scheme (arXiv 2111.00162) marks whole kernels; a single weight costs about half the edits and is
read as reliably. It moves when kernels are mirrored, so the reader tries the eight orientations.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lottery_pipeline.ownership.errors import NoRoomError, OwnershipError
from lottery_pipeline.ownership.keyed_numbers import choose_places
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.sparsity.masks import Masks

GROUP = 8
SYMBOL_BITS = 3
LEAST_PAIRS = 256  # channel pairs of a layer that can carry

# A group fixes one kept weight, and these should stay few among those that the search chose.
_LARGEST_SHARE_OF_KEPT = 0.25
# Seven of eight carriers are off. What they lose comes back elsewhere, and places must be left for it.
_PLACES_PER_GROUP = 14

Groups = dict[str, NDArray[np.int64]]
Shape = Sequence[int]


def list_live(masks: Mapping[str, Tensor]) -> Masks:
    """Return the pairs of live channels, bool ``[out, in]``, of each layer that can carry.

    The first and the last layer cannot: pixels and classes belong to the user, and whoever moves a network to
    another task replaces the last layer. Neither can layers of fewer than 256 channel pairs.

    Args:
        masks: of the unmarked ticket; those of the signed one give the same answer.
    """
    names = list(masks)[1:-1]
    live = {}
    for name in names:
        pairs = masks[name].flatten(2).any(2) if masks[name].dim() > 2 else masks[name]
        if pairs.numel() >= LEAST_PAIRS:
            live[name] = pairs.any(1)[:, None] & pairs.any(0)[None, :]
    return live


def fingerprint_live(masks: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of the live channel pairs, which a commitment names."""
    return fingerprint_tensors(list_live(masks))


def plan_groups(masks: Mapping[str, Tensor], count: int) -> dict[str, int]:
    """Spread groups over the layers, in proportion to what each can hold; the marked mask has no influence.

    Args:
        masks: of the unmarked ticket.
        count: number of groups in all.

    Returns:
        Groups by layer in model order, layers without any left out.

    Raises:
        NoRoomError: the mask cannot hold that many.
    """
    room = {
        name: _find_room(
            int(live.count_nonzero()) * math.prod(masks[name].shape[2:]), int(masks[name].count_nonzero())
        )
        for name, live in list_live(masks).items()
    }
    total = sum(room.values())
    if total < count:
        raise NoRoomError(
            f"this mask can hold {total} groups of {GROUP} carriers, but the mark needs {count}; choose a "
            "ticket that keeps more weights, but not all of them (layer and filter tickets have no room; a "
            "ticket within one has, such as layer_cts)"
        )
    shares = {name: count * size / total for name, size in room.items()}
    planned = {name: int(share) for name, share in shares.items()}
    by_rest = sorted(shares, key=lambda name: planned[name] - shares[name])  # stable: ties by model order
    for name in by_rest[: count - sum(planned.values())]:
        planned[name] += 1
    return {name: groups for name, groups in planned.items() if groups}


def bound_groups(layers: Sequence[tuple[Shape, int]]) -> int:
    """Return how many groups masks hold at most; dead channels only lower the number.

    Args:
        layers: shape of the weight and number of kept weights, in model order.
    """
    return sum(
        _find_room(math.prod(shape), kept)
        for shape, kept in layers[1:-1]
        if shape[0] * shape[1] >= LEAST_PAIRS
    )


def bound_groups_at(shapes: Sequence[Shape], kept: int | None) -> int:
    """Return how many groups any masks hold at most.

    Args:
        shapes: of the weights, in model order.
        kept: number of kept weights of all layers together; None if it is not known.
    """
    sizes = [math.prod(shape) for shape in shapes[1:-1] if shape[0] * shape[1] >= LEAST_PAIRS]
    kept_per_group = round(1 / _LARGEST_SHARE_OF_KEPT)
    most = sum(size // (kept_per_group + _PLACES_PER_GROUP) for size in sizes)
    if kept is None:
        return most
    off = sum(map(math.prod, shapes)) - kept
    return min(most, kept // kept_per_group, off // _PLACES_PER_GROUP)


def place_groups(key: bytes, masks: Mapping[str, Tensor], planned: Mapping[str, int]) -> Groups:
    """Choose the carriers of each layer: its live weights in the order of keyed numbers, eight by eight.

    Args:
        key: K_mask, 32 bytes.
        masks: of the unmarked or of the signed ticket.
        planned: groups by layer, as committed to.

    Returns:
        Flat indices into the weight of each layer, int64 ``[groups, 8]``.

    Raises:
        OwnershipError: a layer is missing, or has too few live weights.
    """
    live = list_live(masks)
    placed = {}
    for name, groups in planned.items():
        if name not in live:
            raise OwnershipError(f"the credential names layer {name!a}, which this ticket cannot mark")
        kernel = math.prod(masks[name].shape[2:])
        alive = np.repeat(live[name].numpy().reshape(-1), kernel)
        count = int(np.count_nonzero(alive))
        if groups * GROUP > count:
            raise OwnershipError(
                f"the credential has {groups} groups in {name!a}, whose {count} live weights hold "
                f"{count // GROUP}"
            )
        places = choose_places(key, f"carriers/{name}", alive, groups * GROUP)
        placed[name] = places.reshape(groups, GROUP)
    return placed


def _find_room(places: int, kept: int) -> int:
    off = max(0, places - kept)
    return min(int(_LARGEST_SHARE_OF_KEPT * kept), places // (2 * GROUP), off // _PLACES_PER_GROUP)


def carrier_masks(groups: Groups, masks: Mapping[str, Tensor]) -> Masks:
    """Return which weights are carriers, in the shapes of the masks."""
    found = {}
    for name, indices in groups.items():
        flat = torch.zeros(masks[name].numel(), dtype=torch.bool)
        flat[torch.from_numpy(indices.reshape(-1))] = True
        found[name] = flat.reshape(masks[name].shape)
    return found
