"""What a supernet holds before its search, and whether what is asked for can be left of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from lottery_pipeline.costs.macs import count_macs, total_macs
from lottery_pipeline.costs.unit_macs import unit_macs
from lottery_pipeline.methods.supertickets.importance import UnitPrice, price_units
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.supernet.units import find_units
from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.options.supertickets import SuperticketOptions, UnitSearchOptions, WeightPruningOptions
from lottery_pipeline.sparsity.allocation import kept_count
from lottery_pipeline.tickets.errors import TicketError


@dataclass(frozen=True)
class Price:
    """Multiply-accumulates of a whole supernet, for one image.

    Attributes:
        total: of everything.
        units: by group of units that a search can remove.
        fixed: of what it cannot.
    """

    total: int
    units: dict[str, UnitPrice]
    fixed: float


def price_supernet(model: nn.Module, image_shape: tuple[int, int, int]) -> Price:
    """Count the multiply-accumulates of a supernet and of its units.

    Args:
        model: on ``meta`` no arithmetic is done.
        image_shape: channels, height, width.
    """
    macs, groups = count_macs(model, image_shape), find_units(model)
    products = {group.name: macs[key] for group in groups if (key := f"{group.name}.products") in macs}
    units = price_units(groups, unit_macs(model, image_shape), products)
    total = total_macs(macs)
    return Price(total, units, total - sum(units[group.name].total(group.size) for group in groups))


def count_weights(model: nn.Module, spec: ModelSpec) -> dict[str, int]:
    """Return the number of prunable weights by parameter; their sum is D.

    Raises:
        ModelError: nothing is left to prune.
    """
    weights = prunable_parameters(model, spec.ignore_layers)
    return {name: weight.numel() for name, weight in weights.items()}


def count_kept(
    options: SuperticketOptions,
    sizes: Mapping[str, int],
    match: ModelSpec | None,
    allow_factory: str | None = None,
) -> int:
    """Return k, the number of weights that the ticket keeps.

    Args:
        options: density, and what it is a share of.
        sizes: prunable weights of the supernet.
        match: the network whose weights ``density_of: model`` counts.
        allow_factory: the trusted ``package.module:factory``, if ``match`` is one.

    Raises:
        TicketError: the other network keeps more weights than the supernet has, or is missing.
        DensityError: the density keeps no weight.
    """
    prunable = sum(sizes.values())
    if options.pruning is None:
        return prunable
    if options.density_of == "supernet":
        return kept_count(options.density, prunable)
    if match is None:
        raise TicketError("density_of is model, but there is no other network whose weights could be counted")
    other = build_model(match, seed=0, device="meta", allow_factory=allow_factory)
    keep = kept_count(options.density, sum(count_weights(other, match).values()))
    if keep > prunable:
        raise TicketError(
            f"density {write_number(options.density)} of {match.name} keeps {keep} weights, but "
            f"the supernet has "
            f"{prunable}; set supertickets.extraction.density_of to supernet, or lower the density"
        )
    return keep


def check_budget(search: UnitSearchOptions, price: Price) -> None:
    """Refuse a budget that is smaller than what cannot be removed; ``TicketError``."""
    if search.mac_budget is not None and search.mac_budget * price.total < price.fixed:
        raise TicketError(
            f"supertickets.extraction.search.mac_budget is {write_number(search.mac_budget)}, but "
            f"what cannot be removed "
            f"takes {write_number(price.fixed / price.total, 3)} of the supernet's multiply-accumulates"
        )


def find_unmet_minimum(pruning: WeightPruningOptions, sizes: Mapping[str, int], keep: int) -> str | None:
    """Return a sentence if layers cannot all keep their minimum, else None.

    Args:
        pruning: has the minimum of a layer.
        sizes: prunable weights by parameter.
        keep: k, of all layers together.
    """
    least = pruning.min_keep_per_layer
    needed = sum(min(least, size) for size in sizes.values())
    if needed <= keep:
        return None
    return (
        f"supertickets.extraction.pruning.min_keep_per_layer is {least}, which takes {needed} weights of the "
        f"{len(sizes)} layers together, but only {keep} are kept, so some layers will have fewer"
    )
