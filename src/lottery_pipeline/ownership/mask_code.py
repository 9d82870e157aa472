"""The mask code: a mark in the topology of a ticket that outlives pruning, training and permutation.

``sign_masks`` hides sixteen bytes in which weights are kept. ``read_mark`` looks for them in any network of
the same architecture, and says how unlikely its finding is for a network that has nothing to do with the key.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lottery_pipeline.ownership.alignment import align_channels, check_widths, normalise_reference
from lottery_pipeline.ownership.carriers import Groups, carrier_masks, place_groups
from lottery_pipeline.ownership.embedding import Marking, mark_masks
from lottery_pipeline.ownership.payload import decode_payload, draw_targets
from lottery_pipeline.ownership.reading import (
    CHANCE,
    ORIENTATIONS,
    count_matches,
    find_alive,
    read_groups,
    turn_kernels,
)
from lottery_pipeline.ownership.significance import adjust, binomial_bits, poisson_binomial_bits
from lottery_pipeline.surgery.channels import ChannelGroup

# After alignment matches are not quite independent of the key, because what is near a carrier helps to align
# it. Measured on unmarked tickets the surplus stays below 3 bits; 16 are charged.
ALIGNMENT_CHARGE = 16


@dataclass(frozen=True)
class Mark:
    """What is needed to write a mark or to find it; secret, because of the key.

    Attributes:
        key: K_mask, 32 bytes.
        payload: 16 bytes of the credential's hash.
        planned: groups by layer.
        trial: number of the whitening.
        grinding_bits: g, if the owner may have tried 2^g whitenings.
    """

    key: bytes
    payload: bytes
    planned: Mapping[str, int]
    trial: int = 0
    grinding_bits: int = 0

    @property
    def count(self) -> int:
        """Number of groups."""
        return sum(self.planned.values())

    def targets(self) -> NDArray[np.int64]:
        """Return which carrier of each group is kept."""
        return draw_targets(self.key, self.payload, self.count, self.trial)

    def __repr__(self) -> str:
        return f"Mark(groups={self.count}, trial={self.trial})"


@dataclass(frozen=True)
class Reading:
    """One way of reading the suspect.

    Attributes:
        orientation: of the kernels, 0 to 7.
        aligned: whether channels were aligned to the owner's order.
        normalised: whether the scale of channels was normalised.
        matches: groups that show their target.
        counted: groups that show anything.
        bits: evidence, -log2 of the adjusted p-value.
        decoded: whether the payload was found, byte by byte.
    """

    orientation: int
    aligned: bool
    normalised: bool
    matches: int
    counted: int
    bits: float
    decoded: bool


@dataclass(frozen=True)
class Evidence:
    """What the mask code says about a suspect.

    Attributes:
        best: the reading with the most evidence.
        tries: number of readings; each was paid for.
        groups: number of groups of the mark.
    """

    best: Reading
    tries: int
    groups: int

    @property
    def bits(self) -> float:
        """-log2 of the p-value, after all charges."""
        return self.best.bits

    @property
    def decoded(self) -> bool:
        """Whether the payload was read exactly."""
        return self.best.decoded


def sign_masks(
    masks: Mapping[str, Tensor],
    mark: Mark,
    gradients: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
) -> Marking:
    """Write a mark into masks; arguments and errors are those of ``mark_masks``."""
    groups = place_groups(mark.key, masks, mark.planned)
    return mark_masks(masks, groups, mark.targets(), gradients, weights)


def choose_trial(masks: Mapping[str, Tensor], mark: Mark) -> int:
    """Return the whitening, of 2^g, with which most targets are kept already: each saves two edits."""
    groups = place_groups(mark.key, masks, mark.planned)
    kept = np.concatenate([masks[name].reshape(-1).numpy()[indices] for name, indices in groups.items()])
    rows = np.arange(mark.count)
    found = [
        int(kept[rows, draw_targets(mark.key, mark.payload, mark.count, trial)].sum())
        for trial in range(2**mark.grinding_bits)
    ]
    return int(np.argmax(found))


def read_mark(
    suspect: Mapping[str, Tensor],
    mark: Mark,
    masks: Mapping[str, Tensor],
    *,
    reference: Mapping[str, Tensor] | None = None,
    channels: Sequence[ChannelGroup] = (),
    charged_tries: int = 0,
) -> Evidence:
    """Look for a mark in a suspect, in every way that may bring it back, and charge every way.

    Args:
        suspect: weights by the owner's parameter names; channels may be permuted, scaled, missing or added.
        mark: what to look for.
        masks: of the owner's signed ticket: where its live channels are.
        reference: weights of the owner's signed ticket, to which channels are aligned. None reads without
            alignment: a reference that was not committed to before the suspect appeared proves anything.
        channels: groups of channels that can be permuted.
        charged_tries: readings that were asked for but refused; they are paid for all the same.

    Returns:
        The best reading. Its bits are those of P[Bin(counted, 1/8) >= matches], less log2 of all tries,
        less the grinding bits, less 16 bits if channels were aligned. After alignment only groups count whose
        target lies between living channels of the suspect, each with a chance of 1 / living carriers.
    """
    groups = place_groups(mark.key, masks, mark.planned)
    targets = mark.targets()
    kernels = any(mask.dim() == 4 and mask.shape[-1] > 1 for mask in masks.values())
    orientations = ORIENTATIONS if kernels else 1
    tries = 2 * orientations * (1 if reference is None else 2) + charged_tries
    if reference is not None:
        check_widths(suspect, channels)
    readings: list[Reading] = []
    for orientation, normalised, scores, alive in _yield_scores(
        suspect, groups, masks, reference, channels, orientations
    ):
        aligned = alive is not None
        charge = math.log2(tries) + mark.grinding_bits + ALIGNMENT_CHARGE * aligned
        matches, counted, found = _weigh(scores, targets, alive)
        bits = adjust(found, tries_log2=charge)
        decoded = decode_payload(scores, mark.key, mark.trial) == mark.payload
        readings.append(Reading(orientation, aligned, normalised, matches, counted, bits, decoded))
        if readings[0].matches == mark.count and readings[0].decoded:
            break  # none can say more, and the first of those that say as much is taken
    return Evidence(max(readings, key=lambda reading: (reading.bits, reading.decoded)), tries, mark.count)


def _yield_scores(
    suspect: Mapping[str, Tensor],
    groups: Groups,
    masks: Mapping[str, Tensor],
    reference: Mapping[str, Tensor] | None,
    channels: Sequence[ChannelGroup],
    orientations: int,
) -> Iterator[tuple[int, bool, NDArray[np.float64], NDArray[np.bool_] | None]]:
    """Yield orientation, whether scales are normalised, the scores, and after alignment what is alive.

    One rewritten copy of the suspect is in memory at a time.
    """
    ours: dict[str, Tensor] = {}
    for orientation in range(orientations):
        turned = {name: turn_kernels(weight, orientation) for name, weight in suspect.items()}
        whole = _list_whole({name: turned[name] for name in groups if name in turned}, masks)
        for normalised in (False, True):
            yield orientation, normalised, read_groups(whole, groups, normalised=normalised), None
        if reference is not None:
            if not ours:
                known = {name: reference[name] for name in masks}
                ours = normalise_reference(known, carrier_masks(groups, masks))
            alignment = align_channels(turned, ours, channels)
            arranged = {name: alignment.arrange(name, turned[name]) for name in groups if name in turned}
            whole = _list_whole(arranged, masks)
            alive = find_alive(whole, groups)
            for normalised in (False, True):
                yield orientation, normalised, read_groups(whole, groups, normalised=normalised), alive
            del arranged
        del turned, whole


def _list_whole(weights: dict[str, Tensor], masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out layers of another size than the owner's."""
    return {name: weight for name, weight in weights.items() if weight.numel() == masks[name].numel()}


def _weigh(
    scores: NDArray[np.float64], targets: NDArray[np.int64], alive: NDArray[np.bool_] | None
) -> tuple[int, int, float]:
    """Return matches, counted groups, and the evidence before all charges.

    Dead channels of the suspect are aligned to dead ones of the reference. So whoever chooses the reference
    can have most carriers fall into dead channels, and spare the targets. That a target is alive is therefore
    no evidence; that it is the largest of those that are alive is.
    """
    if alive is None:
        matches, counted = count_matches(scores, targets)
        return matches, counted, binomial_bits(matches, counted, CHANCE)
    fair = alive[np.arange(len(targets)), targets]
    matches, counted = count_matches(scores[fair], targets[fair])
    clear = (scores == scores.max(1, keepdims=True)).sum(1) == 1
    chances = 1 / alive.sum(1)[fair & clear]
    if (chances == CHANCE).all():
        return matches, counted, binomial_bits(matches, counted, CHANCE)
    return matches, counted, poisson_binomial_bits(matches, chances.tolist())
