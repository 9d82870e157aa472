"""All that is fixed before a joint search starts: counts, prices, events, strengths."""

import math
from dataclasses import dataclass
from typing import Any

from lottery_pipeline.methods.supertickets.importance import UnitPrice
from lottery_pipeline.methods.supertickets.schedule import Event
from lottery_pipeline.options.supertickets import SuperticketOptions
from lottery_pipeline.training.recipe import Recipe


@dataclass(frozen=True, eq=False)
class SearchPlan:
    """What a joint search does, and when.

    Attributes:
        options: what was asked for.
        recipe: of the training, without weight decay, which the search adds itself.
        weight_decay: coefficient of L2 on the weights of convolutions and linear layers.
        seed: of everything that the search draws.
        steps_per_epoch: optimiser steps.
        events: by epoch, counted from 1.
        keep: k, weights of the ticket.
        prunable: D of the whole supernet.
        prices: multiply-accumulates of units, by group, in the whole supernet.
        mean_price: of a unit.
        macs: of the whole supernet, for one image.
        rho: full strength of the pull; 0 without a search.
        rho_factors: of each step.
        ema_decay: of the moving average.
    """

    options: SuperticketOptions
    recipe: Recipe
    weight_decay: float
    seed: int
    steps_per_epoch: int
    events: dict[int, Event]
    keep: int
    prunable: int
    prices: dict[str, UnitPrice]
    mean_price: float
    macs: int
    rho: float
    rho_factors: list[float]
    ema_decay: float

    def rho_at(self, step: int) -> float:
        """Return the strength of the pull at a step."""
        return self.rho * self.rho_factors[step]

    def budget_at(self, event: Event) -> float:
        """Return the multiply-accumulates that a search event may leave: evenly down to the budget."""
        search = self.options.search
        assert search is not None  # noqa: S101 (there is an event)
        assert search.mac_budget is not None  # noqa: S101
        return self.macs * (1 - event.search * (1 - search.mac_budget))

    def record(self) -> dict[str, Any]:
        """Return what determines the search, as plain JSON."""
        return {
            "options": self.options.model_dump(mode="json"),
            "weight_decay": self.weight_decay,
            "seed": self.seed,
            "keep": self.keep,
            "prunable": self.prunable,
            "rho": self.rho,
            "ema_decay": self.ema_decay,
        }


def decay_of_average(share: float, steps: int) -> float:
    """Return the decay whose time constant is a share of all steps: exp(-1 / (share * steps)).

    The published 0.9999 has a time constant of 10,000 steps. A short training would never leave its start.
    """
    return math.exp(-1 / max(1.0, share * steps))
