"""Trying keys: many of them on one network, in its own order of channels."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lottery_pipeline.ownership.carriers import GROUP, list_live
from lottery_pipeline.ownership.keyed_numbers import draw_numbers
from lottery_pipeline.ownership.payload import draw_targets
from lottery_pipeline.ownership.reading import CHANCE, count_matches
from lottery_pipeline.ownership.significance import binomial_bits

# Of the carriers that are needed, as many are looked at; fewer hardly ever hold them all.
_SPARE = 1.5


@dataclass(frozen=True)
class Tried:
    """The best of many keys.

    Attributes:
        key: K_mask, 32 bytes.
        matches: groups that show its target.
        counted: groups that show anything.
        bits: evidence, before anything is charged.
    """

    key: bytes
    matches: int
    counted: int
    bits: float


class KeyTrials:
    """Reads one network under one key after the other; what does not depend on the key is done once.

    Args:
        weights: of the network, by parameter name.
        masks: of the ticket that is claimed, which tell where carriers may be.
        planned: groups by layer.
    """

    def __init__(
        self, weights: Mapping[str, Tensor], masks: Mapping[str, Tensor], planned: Mapping[str, int]
    ) -> None:
        live = list_live(masks)
        self._planned = dict(planned)
        self._sizes = {name: weights[name].numel() for name in planned}
        self._places: dict[str, NDArray[np.int64]] = {}
        self._weights: dict[str, Tensor] = {}
        for name in planned:
            kernel = self._sizes[name] // live[name].numel()
            self._places[name] = np.flatnonzero(np.repeat(live[name].numpy().reshape(-1), kernel))
            self._weights[name] = weights[name].detach().cpu().reshape(-1)

    def score(self, key: bytes) -> NDArray[np.float64]:
        """Return the magnitude of each carrier of a key, ``[groups, 8]``, in the order of the layers."""
        carriers = [self._weights[name][torch.from_numpy(self.place(key, name))] for name in self._planned]
        return torch.cat(carriers).double().abs().numpy()

    def place(self, key: bytes, name: str) -> NDArray[np.int64]:
        """Return the carriers of a layer, as ``place_groups`` does, but without sorting what is not taken."""
        places, needed = self._places[name], self._planned[name] * GROUP
        numbers = draw_numbers(key, f"carriers/{name}", self._sizes[name])[places]
        share = (_SPARE * needed + 4 * GROUP) / len(places)
        small = np.flatnonzero(numbers <= np.uint64(min(share, 1.0) * (2**64 - 2**11)))
        if len(small) < needed:
            small = np.arange(len(places))
        chosen = small[np.argsort(numbers[small])[:needed]]
        return places[chosen].reshape(-1, GROUP)


def try_keys(trials: KeyTrials, keys: Iterable[bytes], payload: Callable[[bytes], bytes]) -> Tried:
    """Return the best of some keys, at least one.

    Args:
        trials: of the network.
        keys: 32 bytes each.
        payload: what the mark of a key must say: 16 bytes of the commitment to it.
    """
    found = []
    for key in keys:
        scores = trials.score(key)
        matches, counted = count_matches(scores, draw_targets(key, payload(key), len(scores)))
        found.append(Tried(key, matches, counted, binomial_bits(matches, counted, CHANCE)))
    return max(found, key=lambda tried: tried.bits)
