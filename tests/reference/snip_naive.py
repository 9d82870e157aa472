"""SNIP as on a blackboard: remove a little of one weight at a time and look at the loss."""

from collections.abc import Callable

import torch
from torch import Tensor

Weights = dict[str, Tensor]


def snip_naive(loss: Callable[[Weights], Tensor], weights: Weights, *, step: float = 1e-6) -> Weights:
    """Return |dL / dm| at m = 1 by central differences, one mask entry after the other.

    Args:
        loss: of the whole data set, given the weights.
        weights: float64.
        step: by which a mask entry is moved up and down.
    """
    scores = {}
    for name, weight in weights.items():
        scores[name] = torch.zeros_like(weight)
        for index in range(weight.numel()):
            ends = []
            for entry in (1 + step, 1 - step):
                mask = torch.ones_like(weight)
                mask.view(-1)[index] = entry
                ends.append(float(loss({**weights, name: weight * mask}).detach()))
            scores[name].view(-1)[index] = abs(ends[0] - ends[1]) / (2 * step)
    return scores
