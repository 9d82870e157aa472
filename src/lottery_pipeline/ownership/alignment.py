"""Alignment: put the channels of a suspect into the owner's order before anything is read at a position.

Permuting channels costs a thief nothing and changes no output, so every mark that is read at a position needs
this (arXiv 2112.14108). The matching is that of Git Re-Basin (arXiv 2209.04836) on magnitudes: one group of
channels after the other is assigned, given the others, until nothing changes. Kernels with a carrier take no
part. If carriers did, an unrelated network would be pulled towards the key; so would one whose kernels differ
in size, if an owner placed large weights beside the carriers that are kept.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.reading import normalise_scale
from lottery_pipeline.surgery.channels import ChannelGroup

Order = NDArray[np.int64]  # for each of the owner's channels, the suspect's, or -1

_MOST_SWEEPS = 20


class Alignment:
    """The order of the suspect's channels, group by group; made by ``align_channels``.

    Attributes:
        orders: by name of the group.
        sweeps: how often all groups were assigned.
    """

    def __init__(self, groups: Iterable[ChannelGroup]) -> None:
        self.groups = list(groups)
        self.orders: dict[str, Order] = {}
        self.sweeps = 0
        self._writers = {layer: group.name for group in self.groups for layer in group.outputs}
        self._readers = {
            layer: (group.name, pixels) for group in self.groups for layer, pixels in group.inputs
        }

    def arrange(self, name: str, weight: Tensor, *, rows: bool = True, columns: bool = True) -> Tensor:
        """Put a suspect's weight into the owner's order: ``[out, in, kernel]``; missing channels are 0.

        Args:
            name: of the parameter.
            weight: of the suspect, ``[out, in, ...]``.
            rows: arrange the output channels.
            columns: arrange the input channels.
        """
        layer = name.removesuffix(".weight")
        weight = weight.reshape(*weight.shape[:2], -1)
        if rows and (order := self.orders.get(self._writers.get(layer, ""))) is not None:
            weight = _take(weight, order)
        reader, pixels = self._readers.get(layer, ("", 1))
        if columns and (order := self.orders.get(reader)) is not None:
            by_channel = weight.reshape(len(weight), -1, pixels * weight.shape[2]).transpose(0, 1)
            weight = _take(by_channel, order).transpose(0, 1).reshape(len(weight), -1, weight.shape[2])
        return weight

    def is_settled(self, layer: str, *, rows: bool) -> bool:
        """Whether the channels that a layer writes (``rows``) or reads have an order, or need none."""
        group = self._writers.get(layer) if rows else self._readers.get(layer, (None, 1))[0]
        return group is None or group in self.orders


def normalise_reference(reference: Mapping[str, Tensor], carriers: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what suspects are aligned to: magnitudes ``[out, in, kernel]``, float32, without carriers.

    Args:
        reference: weights of the owner's network, by parameter name.
        carriers: which of them are carriers, bool, in the same shapes.
    """
    normalised = {}
    for name, weight in reference.items():
        flat = weight.reshape(*weight.shape[:2], -1)
        if name in carriers:
            flat = flat.masked_fill(carriers[name].reshape(flat.shape).any(2, keepdim=True), 0.0)
        normalised[name] = normalise_scale(flat, torch.float32)
    return normalised


def align_channels(
    suspect: Mapping[str, Tensor],
    reference: Mapping[str, Tensor],
    groups: Iterable[ChannelGroup],
) -> Alignment:
    """Assign the suspect's channels to the owner's.

    Args:
        suspect: weights ``[out, in, ...]`` by parameter name; it may have more channels or fewer.
        reference: of the owner's network, from ``normalise_reference``.
        groups: the owner's groups of channels, in the order of the network.

    Returns:
        The order of every group.

    Raises:
        OwnershipError: the suspect's layers do not fit together.
    """
    groups = list(groups)
    check_widths(suspect, groups)
    theirs = {name: normalise_scale(weight, torch.float32) for name, weight in suspect.items()}
    alignment = Alignment(groups)
    changed = True
    while changed and alignment.sweeps < _MOST_SWEEPS:
        changed = False
        for group in alignment.groups:
            gain = _measure_gain(group, alignment, reference, theirs)
            if gain is None:
                continue
            order = _assign(gain)
            before = alignment.orders.get(group.name)
            if before is None or not np.array_equal(order, before):
                alignment.orders[group.name] = order
                changed = True
        alignment.sweeps += 1
    return alignment


def check_widths(suspect: Mapping[str, Tensor], groups: Iterable[ChannelGroup]) -> None:
    """Refuse a suspect that cannot be a network.

    Raises:
        OwnershipError: layers that share channels differ in their number.
    """
    for group in groups:
        sides = [(f"{layer}.weight", 0, 1) for layer in group.outputs]
        sides += [(f"{layer}.weight", 1, pixels) for layer, pixels in group.inputs]
        widths = {suspect[name].shape[axis] / pixels for name, axis, pixels in sides if name in suspect}
        if len(widths) > 1 or not all(width.is_integer() for width in widths):
            raise OwnershipError(
                f"the suspect's layers do not fit together: those that share the channels of {group.name!a} "
                "differ in their number"
            )


def _measure_gain(
    group: ChannelGroup, alignment: Alignment, ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]
) -> Tensor | None:
    """Return how alike each of the owner's channels is to each of the suspect's; None if nothing is known.

    In the first sweep only layers count whose other side has an order already: the rest would be noise.
    """
    gains = []
    for layer in group.outputs:
        name = f"{layer}.weight"
        if name in ours and name in theirs and alignment.is_settled(layer, rows=False):
            arranged = alignment.arrange(name, theirs[name], rows=False)
            gains += _compare(ours[name].flatten(1), arranged.flatten(1))
    for layer, pixels in group.inputs:
        name = f"{layer}.weight"
        if name in ours and name in theirs and alignment.is_settled(layer, rows=True):
            arranged = alignment.arrange(name, theirs[name], columns=False)
            gains += _compare(_by_column(ours[name], pixels), _by_column(arranged, pixels))
    return torch.stack(gains).sum(0) if gains else None


def _compare(own: Tensor, their: Tensor) -> list[Tensor]:
    """Return how alike the rows are, ``[own, their]``; nothing if they differ in length."""
    return [own @ their.T] if own.shape[1] == their.shape[1] else []


def _by_column(weight: Tensor, pixels: int) -> Tensor:
    """Return ``[in channels, out * pixels * kernel]``."""
    by_channel = weight.reshape(len(weight), -1, pixels * weight.shape[2])
    return by_channel.transpose(0, 1).flatten(1)


def _assign(gain: Tensor) -> Order:
    rows, columns = linear_sum_assignment(gain.numpy(), maximize=True)
    order = np.full(len(gain), -1, dtype=np.int64)
    order[rows] = columns
    return order


def _take(weight: Tensor, order: Order) -> Tensor:
    """Return rows in the given order; row -1 is 0."""
    index = torch.from_numpy(order)
    taken = weight[index.clamp_min(0)]
    return taken.masked_fill_((index < 0).reshape(-1, *[1] * (weight.dim() - 1)), 0.0)
