"""Embedding: edit a mask until it keeps one carrier of each group, with the least damage and equal counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from lottery_pipeline.ownership.carriers import Groups, carrier_masks, list_live
from lottery_pipeline.ownership.errors import NoRoomError
from lottery_pipeline.sparsity.masks import Masks

_PART = 2**16  # weights whose places are Python numbers at a time


@dataclass(frozen=True, eq=False)
class Marking:
    """A marked mask.

    Attributes:
        masks: by parameter name; each layer keeps as many weights as before.
        kept_carriers: the carriers that are kept, one of each group, in the shapes of their weights.
        edits: number of weights whose mask has changed.
    """

    masks: Masks
    kept_carriers: Masks
    edits: int


def mark_masks(
    masks: Mapping[str, Tensor],
    groups: Groups,
    targets: NDArray[np.int64],
    gradients: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
) -> Marking:
    """Keep the target of each group and prune its seven other carriers, then give each layer its count back.

    What a layer lacks is added where the loss pulls hardest (largest |g|); what it has too much goes where
    the loss would change least (smallest |g w|, first order). Both happen outside the carriers and between
    live channels, and no channel loses its last weight. Where too many weights are the last of a channel, two
    of them make room for one that serves both channels.

    Args:
        masks: of the unmarked ticket.
        groups: the carriers.
        targets: which of the eight is kept, for the groups of all layers in order.
        gradients: of the loss at the ticket's start, for kept and pruned weights alike.
        weights: of the dense network at the same point.

    Raises:
        NoRoomError: no mask of a layer has these carriers, its count and its live channels.
    """
    live = list_live(masks)
    carriers = carrier_masks(groups, masks)
    marked = {name: mask.clone() for name, mask in masks.items()}
    kept_carriers: Masks = {}
    first = 0
    for name, indices in groups.items():
        own = torch.from_numpy(indices[np.arange(len(indices)), targets[first : first + len(indices)]])
        first += len(indices)
        kept = torch.zeros_like(masks[name]).view(-1)
        kept[own] = True
        kept_carriers[name] = kept.view(masks[name].shape)
        layer = _Layer(
            name,
            (masks[name] & ~carriers[name]) | kept_carriers[name],
            carriers[name],
            live[name],
            gradients[name].abs().cpu(),
            weights[name].abs().cpu(),
        )
        marked[name] = layer.restore(int(masks[name].count_nonzero()))
    edits = sum(int((marked[name] ^ masks[name]).count_nonzero()) for name in groups)
    return Marking(marked, kept_carriers, edits)


class _Layer:
    """The mask of one layer while it is edited, seen as ``[out, in, kernel]``."""

    def __init__(
        self, name: str, mask: Tensor, carriers: Tensor, live: Tensor, gradient: Tensor, weight: Tensor
    ) -> None:
        self.name, self.shape = name, mask.shape
        self.mask, carriers, gradient, weight = (
            tensor.reshape(*live.shape, -1) for tensor in (mask.clone(), carriers, gradient, weight)
        )
        self.live = live
        self.free = live[:, :, None] & ~carriers
        self.pull, self.weight = gradient, weight

    @property
    def damage(self) -> Tensor:
        return self.pull * self.weight

    def restore(self, count: int) -> Tensor:
        """Revive channels that lost their last weight, then bring the number of kept weights to ``count``."""
        self._revive(self.pull)
        missing = count - int(self.mask.count_nonzero())
        if missing > 0:
            self._add(missing)
        elif missing < 0:
            self._remove(-missing)
        return self.mask.reshape(self.shape)

    def _find_dead(self, axis: int) -> list[int]:
        dead = self.live.any(1 - axis) & ~self.mask.any(2).any(1 - axis)
        return [int(channel) for channel in dead.nonzero()]

    def _revive(self, score: Tensor) -> None:
        for axis in (0, 1):
            for channel in self._find_dead(axis):
                free = self.free.select(axis, channel)
                if not bool(free.any()):
                    raise NoRoomError(
                        f"channel {channel} of {self.name!a} has only carriers; choose another number of "
                        "groups, which draws other carriers"
                    )
                best = torch.where(free, score.select(axis, channel), -torch.inf)
                other, place = divmod(int(best.argmax()), free.shape[1])
                self.mask[(channel, other, place) if axis == 0 else (other, channel, place)] = True

    def _add(self, count: int) -> None:
        open_places = self.free & ~self.mask
        places = int(open_places.count_nonzero())
        if places < count:
            raise NoRoomError(
                f"{self.name!a} has {places} places for the {count} weights that its carriers lose; choose "
                "fewer groups"
            )
        pull = torch.where(open_places, self.pull, -1.0).view(-1)
        self.mask.view(-1)[pull.topk(count).indices] = True

    def _remove(self, count: int) -> None:
        before = self.mask.clone()
        rows, columns = self.mask.sum((1, 2)), self.mask.sum((0, 2))
        removable = (self.mask & self.free).view(-1).nonzero()[:, 0]
        order = self.damage.view(-1)[removable].argsort(stable=True)
        removed = 0
        for index in chain.from_iterable(removable[part].tolist() for part in order.split(_PART)):
            if removed == count:
                return
            pair, place = divmod(index, self.mask.shape[2])
            out, into = divmod(pair, self.mask.shape[1])
            if rows[out] > 1 and columns[into] > 1:
                self.mask[out, into, place] = False
                rows[out] -= 1
                columns[into] -= 1
                removed += 1
        if removed < count:
            self.mask = before
            self._regroup(int(before.sum()) - count)

    def _regroup(self, count: int) -> None:
        """Keep ``count`` weights that reach every live channel, with the least damage: a cover by matching.

        One weight for each channel that no kept carrier reaches would be too many, so some weights, old or
        new, must serve two such channels. An assignment finds the best ones; none that exist are missed.
        """
        worth = torch.where(self.mask & self.free, self.damage.double(), -torch.inf)
        self.mask = self.mask & ~self.free  # the kept carriers
        rows, columns = self._find_dead(0), self._find_dead(1)
        # What two channels lose by sharing: the best weight of each, less an old weight where they meet.
        meeting = torch.where(self.free, worth.clamp(min=0.0), -torch.inf).amax(2)[rows][:, columns]
        loss = worth[rows].amax((1, 2))[:, None] + worth[:, columns].amax((0, 2)) - meeting
        pairs = _choose_pairs(loss, len(rows) + len(columns) + int(self.mask.count_nonzero()) - count)
        if pairs is None:
            raise NoRoomError(
                f"{self.name!a} cannot keep {count} weights, its mark and all its channels; choose another "
                "number of groups, which draws other carriers"
            )
        pull = torch.where(self.free, self.pull, -1.0)
        for row, column in pairs:
            out, into = rows[row], columns[column]
            best = worth[out, into] if bool(worth[out, into].isfinite().any()) else pull[out, into]
            self.mask[out, into, int(best.argmax())] = True
        self._revive(worth)
        worth[self.mask] = -torch.inf
        self.mask.view(-1)[worth.view(-1).topk(count - int(self.mask.count_nonzero())).indices] = True


def _choose_pairs(loss: Tensor, count: int) -> list[tuple[int, int]] | None:
    """Pair rows with columns, each once at most, so that least is lost; None if there are too few pairs.

    Args:
        loss: ``[rows, columns]``, infinite where a pair cannot be.
        count: number of pairs.
    """
    possible = loss.isfinite().numpy()
    if possible[linear_sum_assignment(possible, maximize=True)].sum() < count:
        return None
    rows, columns = loss.shape
    # Whatever is assigned to the padding stays single, and the padding takes all but ``count`` pairs.
    padded = np.full([rows + columns - count] * 2, np.inf)
    padded[rows:, :columns] = padded[:rows, columns:] = 0.0
    padded[:rows, :columns] = loss.numpy()
    assigned = zip(*linear_sum_assignment(padded), strict=True)
    return [(int(row), int(column)) for row, column in assigned if row < rows and column < columns]
