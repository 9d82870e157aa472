"""A reference made after the suspect: its own channels, in the order that suits a forger's key.

Whoever aligns the suspect to it gets back the order that shows the forger's mark, out of more orders than
there are keys. So what suspects are aligned to must have been published before them.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lottery_pipeline.models.classifier import Classifier
from lottery_pipeline.ownership.attacks.channels import choose_channels_, known_groups
from lottery_pipeline.ownership.carriers import Groups, place_groups
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.mask_code import Mark
from lottery_pipeline.ownership.reading import count_matches
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.surgery.channels import ChannelGroup
from lottery_pipeline.tickets.ticket import Ticket


def fit_reference(ticket: Ticket, mark: Mark, *, seed: int, swaps: int) -> dict[str, Tensor]:
    """Return the state of a network that computes the same, its channels in an order that shows a mark.

    Channels are swapped two by two as long as no match is lost. Only channels that are alive in all their
    layers move, so the live channels, to which one commits first, stay the same.

    Args:
        ticket: trained; it never had the mark.
        mark: of the forger.
        seed: of the swaps.
        swaps: number of those that are tried.

    Raises:
        OwnershipError: the structure of the network is unknown.
    """
    model = ticket.build()
    if not isinstance(model, Classifier):
        raise OwnershipError("the channels of this network are unknown")
    search = _Search(ticket, mark, known_groups(model, "all"))
    search.climb(swaps, make_generator(seed, "reference"))
    for group in search.groups:
        choose_channels_(model, group, torch.from_numpy(search.orders[group.name]), torch.ones(group.size))
    return model.state_dict()


class _Search:
    """A walk through the orders of channels, by swaps."""

    def __init__(self, ticket: Ticket, mark: Mark, groups: list[ChannelGroup]) -> None:
        placed = place_groups(mark.key, ticket.masks, mark.planned)
        self.groups = [group for group in groups if self._layers(group) & set(placed)]
        self.orders = {group.name: np.arange(group.size) for group in self.groups}
        self._movable = {group.name: _list_movable(group, ticket.masks) for group in self.groups}
        self._targets = mark.targets()
        self._layouts = self._lay_out(placed, ticket.state)

    def climb(self, swaps: int, generator: torch.Generator) -> None:
        """Try swaps of two channels of a random group; keep those that lose no match."""
        groups = [group for group in self.groups if len(self._movable[group.name]) > 1]
        scores = {name: layout.read(self.orders) for name, layout in self._layouts.items()}
        found = self._count(scores)
        for _ in range(swaps if groups else 0):
            group = groups[int(torch.randint(len(groups), (1,), generator=generator))]
            order, movable = self.orders[group.name], self._movable[group.name]
            pair = movable[torch.randperm(len(movable), generator=generator)[:2].numpy()]
            order[pair] = order[pair[::-1]]
            touched = self._layers(group) & set(self._layouts)
            tried = scores | {name: self._layouts[name].read(self.orders) for name in touched}
            matches = self._count(tried)
            if matches >= found:
                scores, found = tried, matches
            else:
                order[pair] = order[pair[::-1]]

    def _count(self, scores: Mapping[str, NDArray[np.float64]]) -> int:
        return count_matches(np.concatenate(list(scores.values())), self._targets)[0]

    def _layers(self, group: ChannelGroup) -> set[str]:
        return {f"{layer}.weight" for layer in (*group.outputs, *dict(group.inputs))}

    def _lay_out(self, placed: Groups, state: Mapping[str, Tensor]) -> dict[str, "_Layout"]:
        rows = {f"{layer}.weight": group.name for group in self.groups for layer in group.outputs}
        columns = {
            f"{layer}.weight": (group.name, pixels) for group in self.groups for layer, pixels in group.inputs
        }
        return {
            name: _Layout(state[name], indices, rows.get(name), *columns.get(name, (None, 1)))
            for name, indices in placed.items()
        }


class _Layout:
    """Where the carriers of one layer are, as row, channel of the column, and the rest of the place."""

    def __init__(
        self,
        weight: Tensor,
        indices: NDArray[np.int64],
        writer: str | None,
        reader: str | None,
        pixels: int,
    ) -> None:
        out = len(weight)
        self._magnitudes = (
            weight.detach().double().abs().reshape(out, -1, pixels * weight[0, 0].numel()).numpy()
        )
        self._rows, self._columns, self._rest = np.unravel_index(indices, self._magnitudes.shape)
        self._writer, self._reader = writer, reader

    def read(self, orders: Mapping[str, NDArray[np.int64]]) -> NDArray[np.float64]:
        """Return the magnitude of each carrier, ``[groups, 8]``, with channels in these orders."""
        rows = self._rows if self._writer is None else orders[self._writer][self._rows]
        columns = self._columns if self._reader is None else orders[self._reader][self._columns]
        return self._magnitudes[rows, columns, self._rest]


def _list_movable(group: ChannelGroup, masks: Mapping[str, Tensor]) -> NDArray[np.int64]:
    """Return the channels of which every layer keeps a weight, and of every pixel after a flatten."""
    alive = torch.ones(group.size, dtype=torch.bool)
    for layer in group.outputs:
        alive &= masks[f"{layer}.weight"].flatten(1).any(1)
    for layer, pixels in group.inputs:
        mask = masks[f"{layer}.weight"]
        columns = mask.flatten(2).any(2).any(0) if mask.dim() > 2 else mask.any(0)
        alive &= columns.reshape(group.size, pixels).all(1)
    return alive.nonzero().squeeze(1).numpy()
