"""Reading a mark: which carrier of each group is the largest, whatever was done to the scale of the channels.

Only magnitudes within a group are compared. So pruning thresholds, quantisation, small values where zeros
were, and training without the mask blur a reading but do not blind it, and signs play no part.
"""

import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lottery_pipeline.ownership.carriers import GROUP, Groups

ORIENTATIONS = 8
CHANCE = 1 / GROUP  # that a group shows its target, for a suspect that knows nothing of the key
_ROUNDS = 20
_PART = 2**20  # weights


def flatten_kernels(weight: Tensor) -> Tensor:
    """Return magnitudes ``[out, in, kernel]`` in float64."""
    return weight.detach().cpu().double().abs().reshape(*weight.shape[:2], -1)


def normalise_scale(weight: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """Divide rows and columns by their L2 norms in turn, until channel scales have no effect.

    This undoes the rescaling of neurons and folded batch norms (arXiv 2205.00199). Norms rather than means of
    the non-zero entries, because one tiny value for every zero would change those means.

    Args:
        weight: ``[out, in, ...]``; its signs do not matter.
        dtype: of the result; it is computed in float64.

    Returns:
        Magnitudes ``[out, in, kernel]``.
    """
    rows, columns = _find_scale(weight)
    flat = weight.detach().reshape(*weight.shape[:2], -1)
    scaled = torch.empty(flat.shape, dtype=dtype)
    for part in _cut_rows(flat):
        scaled[part] = flatten_kernels(flat[part]) * (rows[part, None] * columns[None, :])[:, :, None]
    return scaled


def _find_scale(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the factors of rows and columns, float64 ``[out]`` and ``[in]``."""
    squares = torch.empty(weight.shape[:2], dtype=torch.float64)
    for part in _cut_rows(weight):
        squares[part] = flatten_kernels(weight[part]).square().sum(2)
    rows, columns = torch.ones_like(squares[:, 0]), torch.ones_like(squares[0])
    for _ in range(_ROUNDS):  # of a matrix of channel pairs: all weights of a kernel share a factor
        sums = squares @ columns
        rows = torch.where(sums > 0, 1 / sums, 1.0)
        sums = rows @ squares
        columns = torch.where(sums > 0, 1 / sums, 1.0)
    return rows.sqrt(), columns.sqrt()


def _cut_rows(weight: Tensor) -> Iterator[slice]:
    """Yield rows of a bounded number of weights: float64 values of a whole layer can be gigabytes."""
    rows = max(1, _PART // max(1, weight[:1].numel()))
    return (slice(first, first + rows) for first in range(0, len(weight), rows))


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
        weights: ``[out, in, ...]`` in the owner's order of channels; a missing layer reads as 0.
        groups: the carriers.
        normalised: normalise the scale first. Raw and normalised readings each win in places:
            normalisation also lifts the dust in channels that are nearly dead.
    """
    rows = []
    for name, indices in groups.items():
        if name not in weights:
            rows.append(np.zeros(indices.shape))
            continue
        weight = weights[name].detach().cpu()
        read = weight.reshape(-1)[torch.from_numpy(indices)].double().abs()
        if normalised:
            own_rows, own_columns = _find_scale(weight)
            pairs = torch.from_numpy(indices // math.prod(weight.shape[2:]))
            out, into = pairs // weight.shape[1], pairs % weight.shape[1]
            read *= own_rows[out] * own_columns[into]
        rows.append(read.numpy())
    return np.concatenate(rows)


def find_alive(weights: Mapping[str, Tensor], groups: Groups) -> NDArray[np.bool_]:
    """Return which carriers lie between channels in which the suspect keeps a weight, ``[groups, 8]``.

    Args:
        weights: ``[out, in, ...]`` in the owner's order of channels; a missing layer is dead.
        groups: the carriers.
    """
    rows = []
    for name, indices in groups.items():
        if name not in weights:
            rows.append(np.zeros(indices.shape, dtype=np.bool_))
            continue
        kernels = weights[name].detach().cpu().reshape(*weights[name].shape[:2], -1)
        pairs = kernels.any(2)
        alive = pairs.any(1)[:, None] & pairs.any(0)[None, :]
        rows.append(alive.reshape(-1).numpy()[indices // kernels.shape[2]])
    return np.concatenate(rows)


def count_matches(scores: NDArray[np.float64], targets: NDArray[np.int64]) -> tuple[int, int]:
    """Return how many groups show their target, and how many show anything.

    A group without a single largest carrier is not counted at all. That depends on the suspect alone, not on
    the target, so among the counted groups each matches with probability 1/8 if the suspect knows nothing of
    the key.
    """
    clear = (scores == scores.max(1, keepdims=True)).sum(1) == 1
    return int((scores.argmax(1) == targets)[clear].sum()), int(clear.sum())
