"""What edge-popup and Gem-Miner share: scores learnt by SGD for networks whose weights are never trained."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lottery_pipeline.options import FrozenWeightOptions
from lottery_pipeline.search.gated import GatedNetwork
from lottery_pipeline.training.optimiser import MaskedOptimiser
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.reductions import add_up, average
from lottery_pipeline.training.result import State


def signed_constant(weight: Tensor) -> Tensor:
    """Give every weight the magnitude sqrt(2 / fan_in) of its layer, and keep its sign.

    Ramanujan et al. 2020: the best of their initialisations. A weight of 0 becomes positive.
    """
    fan_in = weight[0].numel()
    return torch.copysign(torch.full_like(weight, math.sqrt(2 / fan_in)), weight)


def weight_change(options: FrozenWeightOptions) -> Callable[[Tensor], Tensor]:
    """Return the change that the options make to a layer's start weights."""
    return signed_constant if options.weights == "signed_constant" else torch.clone


def sgd_recipe(options: FrozenWeightOptions) -> dict[str, Any]:
    """Return the optimiser of both methods: SGD with a cosine schedule."""
    return {
        "optimiser": "sgd",
        "momentum": options.momentum,
        "weight_decay": options.weight_decay,
        "schedule": "cosine",
    }


class ScoreLearner:
    """Scores [D] that SGD moves along the gradient of the task loss.

    Args:
        network: the frozen network.
        recipe: the search's recipe.
        scores: their initial values, [D].
        open_gates: turns scores into gates [D], 0 or 1, with a straight-through gradient.
        rank: turns learnt scores into those that rank the weights, higher = keep.
    """

    columns = ("objective",)
    generators = ()

    def __init__(
        self,
        network: GatedNetwork,
        recipe: Recipe,
        scores: Tensor,
        open_gates: Callable[[Tensor], Tensor],
        rank: Callable[[Tensor], Tensor] = torch.clone,
    ) -> None:
        self._network, self._open_gates, self._rank = network, open_gates, rank
        learnt = nn.ParameterDict({"scores": scores})
        self._scores = learnt["scores"]
        self._optimiser = MaskedOptimiser(learnt, recipe, masks=None)

    @property
    def scores(self) -> Tensor:
        """The scores that rank the weights, [D]."""
        return self._rank(self.learnt)

    @property
    def learnt(self) -> Tensor:
        """The scores as they are learnt, [D]; not a copy."""
        return self._scores.detach()

    def modules(self) -> list[nn.Module]:
        """Return the modules of the network."""
        return self._network.modules()

    def prepare(self, number: int) -> None:
        """Do nothing: all steps are alike."""

    def step(self, inputs: Tensor, labels: Tensor, rate: float | Tensor) -> Tensor:
        """Take the gradient of the cross-entropy with respect to the scores, and move them."""
        logits = self._network(inputs, self._network.weights * self._open_gates(self._scores))
        loss = average(F.cross_entropy(logits, labels), len(labels))
        self._scores.grad = add_up(*torch.autograd.grad(loss, self._scores))
        self._optimiser.step(rate)
        return loss.detach().reshape(1)

    def tensors(self) -> State:
        """Return scores and momentum."""
        return {"scores": self.learnt, **self._optimiser.tensors()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore a state from ``tensors()``."""
        with torch.no_grad():
            self._scores.copy_(tensors["scores"])
        self._optimiser.load(tensors)
