"""Reading a mark: which carrier of each group is the largest, whatever was done to the scale of the channels.

Only magnitudes within a group are compared. So pruning thresholds, quantisation, small values where zeros
were, and training without the mask blur a reading but do not blind it, and signs play no part.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lottery_pipeline.ownership.carriers import GROUP, Groups

ORIENTATIONS = 8
CHANCE = 1 / GROUP  # that a group shows its target, for a suspect that knows nothing of the key
_ROUNDS = 20


def flatten_kernels(weight: Tensor) -> Tensor:
    """Return magnitudes ``[out, in, kernel]`` in float64."""
    return weight.detach().cpu().double().abs().reshape(*weight.shape[:2], -1)


def normalise_scale(magnitudes: Tensor) -> Tensor:
    """Divide rows and columns by their L2 norms in turn, until channel scales have no effect.

    This undoes the rescaling of neurons and folded batch norms (arXiv 2205.00199). Norms rather than means of
    the non-zero entries, because one tiny value for every zero would change those means.

    Args:
        magnitudes: ``[out, in, kernel]``.
    """
    squares = magnitudes.square().sum(2)
    rows, columns = torch.ones_like(squares[:, 0]), torch.ones_like(squares[0])
    for _ in range(_ROUNDS):  # of a matrix of channel pairs: all weights of a kernel share a factor
        sums = squares @ columns
        rows = torch.where(sums > 0, 1 / sums, 1.0)
        sums = rows @ squares
        columns = torch.where(sums > 0, 1 / sums, 1.0)
    return magnitudes * (rows.sqrt()[:, None] * columns.sqrt()[None, :])[:, :, None]


def turn_kernels(weight: Tensor, orientation: int) -> Tensor:
    """Mirror and transpose square kernels: the eight orientations, 0 for none; other weights stay.

    A network with mirrored kernels, fed mirrored images, computes the same.
    """
    if weight.dim() != 4 or weight.shape[2] != weight.shape[3]:
        return weight
    if orientation & 4:
        weight = weight.transpose(2, 3)
    axes = [axis for axis, bit in ((2, 2), (3, 1)) if orientation & bit]
    return weight.flip(axes) if axes else weight


def read_groups(weights: Mapping[str, Tensor], groups: Groups, *, normalised: bool) -> NDArray[np.float64]:
    """Return the magnitude of each carrier, ``[groups, 8]``, in the order of the layers.

    Args:
        weights: ``[out, in, kernel]`` in the owner's order of channels; a missing layer reads as 0.
        groups: the carriers.
        normalised: normalise the scale first. Raw and normalised readings each win in places:
            normalisation also lifts the dust in channels that are nearly dead.
    """
    rows = []
    for name, indices in groups.items():
        if name not in weights:
            rows.append(np.zeros(indices.shape))
            continue
        magnitudes = normalise_scale(weights[name]) if normalised else weights[name]
        rows.append(magnitudes.reshape(-1).numpy()[indices])
    return np.concatenate(rows)


def find_alive(weights: Mapping[str, Tensor], groups: Groups) -> NDArray[np.bool_]:
    """Return which carriers lie between channels in which the suspect keeps a weight, ``[groups, 8]``.

    Args:
        weights: ``[out, in, kernel]`` in the owner's order of channels; a missing layer is dead.
        groups: the carriers.
    """
    rows = []
    for name, indices in groups.items():
        if name not in weights:
            rows.append(np.zeros(indices.shape, dtype=np.bool_))
            continue
        pairs = weights[name].any(2)
        alive = pairs.any(1)[:, None] & pairs.any(0)[None, :]
        rows.append(alive.reshape(-1).numpy()[indices // weights[name].shape[2]])
    return np.concatenate(rows)


def count_matches(scores: NDArray[np.float64], targets: NDArray[np.int64]) -> tuple[int, int]:
    """Return how many groups show their target, and how many show anything.

    A group without a single largest carrier is not counted at all. That depends on the suspect alone, not on
    the target, so among the counted groups each matches with probability 1/8 if the suspect knows nothing of
    the key.
    """
    clear = (scores == scores.max(1, keepdims=True)).sum(1) == 1
    return int((scores.argmax(1) == targets)[clear].sum()), int(clear.sum())
