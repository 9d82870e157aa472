"""Which units a search event removes: those that are dead, or the least important down to a budget."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from lottery_pipeline.methods.supertickets.importance import UnitPrice
from lottery_pipeline.models.supernet.units import UnitGroup
from lottery_pipeline.options.supertickets import UnitSearchOptions

Keep = dict[str, Tensor]  # bool [size] by group


def find_living(
    units: Iterable[UnitGroup],
    weights: Mapping[str, Tensor],
    average: Mapping[str, Tensor],
    options: UnitSearchOptions,
    *,
    last: bool,
) -> Keep:
    """Return the units whose scale is above the threshold, in the weights or in their average.

    Args:
        units: of the network.
        weights: its parameters.
        average: their moving average.
        options: threshold and rule.
        last: the last event asks the average alone.
    """
    keep: Keep = {}
    for group in units:
        alive = average[group.gamma].abs() > options.gamma_threshold
        if options.keep_rule == "or" and not last:
            alive = alive | (weights[group.gamma].abs() > options.gamma_threshold)
        keep[group.name] = alive.detach().cpu()
    return keep


def fill_budget(
    units: Iterable[UnitGroup],
    average: Mapping[str, Tensor],
    prices: Mapping[str, UnitPrice],
    surplus: float,
) -> Keep:
    """Remove the least important units until ``surplus`` multiply-accumulates are gone; ties go by order.

    Args:
        units: of the network.
        average: moving average of its parameters.
        prices: of a unit of each group.
        surplus: multiply-accumulates to remove; 0 or less removes nothing.
    """
    groups = list(units)
    keep = {group.name: torch.ones(group.size, dtype=torch.bool) for group in groups}
    if surplus <= 0:
        return keep
    scales = torch.cat([average[group.gamma].detach().abs().cpu() for group in groups])
    owners = [(group, index) for group in groups for index in range(group.size)]
    left = {group.name: group.size for group in groups}
    for place in scales.argsort(stable=True).tolist():
        group, index = owners[place]
        price = prices[group.name]
        surplus -= price.total(left[group.name]) - price.total(left[group.name] - 1)
        left[group.name] -= 1
        keep[group.name][index] = False
        if surplus <= 0:
            break
    return keep


def count_removed(keep: Mapping[str, Tensor]) -> int:
    """Return the number of units that go."""
    return sum(int((~kept).sum()) for kept in keep.values())


def dead_macs(keep: Mapping[str, Tensor], prices: Mapping[str, UnitPrice]) -> float:
    """Return the multiply-accumulates of the units that go."""
    return sum(
        prices[name].total(len(kept)) - prices[name].total(int(kept.sum())) for name, kept in keep.items()
    )
