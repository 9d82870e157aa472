"""What a search for a SuperTicket needs, checked before anything runs."""

import logging

from pydantic import ValidationError

from lottery_pipeline.methods.supertickets.counts import (
    check_budget,
    count_kept,
    count_weights,
    find_unmet_minimum,
    price_supernet,
)
from lottery_pipeline.methods.supertickets.network import specify_supernet
from lottery_pipeline.methods.supertickets.schedule import check_rho, plan_events
from lottery_pipeline.models.prunable import check_ignore_layers
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.supernet.config import Supernet
from lottery_pipeline.models.supernet.presets import PRESETS
from lottery_pipeline.options.faults import describe_file_fault
from lottery_pipeline.options.supertickets import SuperticketOptions
from lottery_pipeline.search.outlook import STANDING_IN, Outlook
from lottery_pipeline.training.recipe import Recipe

logger = logging.getLogger(__name__)


def check_supertickets(outlook: Outlook, options: SuperticketOptions) -> None:
    """Refuse, before anything runs, a search that cannot work.

    What depends on the size of images that nobody knows yet is left to the run.

    Raises:
        ValueError: the supernet is not a valid one or does not fit the images, a pattern matches no layer,
            the density or the budget is out of reach, the intervals cannot work, or ``rho`` needs another
            optimiser; one sentence says which.
    """
    spec = _specify(outlook, options)
    model = build_model(spec, seed=0, device="meta")
    check_ignore_layers(model, spec.ignore_layers)
    sizes = count_weights(model, spec)
    keep = _count_kept(outlook, options, sizes)
    if options.search is not None:
        check_rho(options.search, outlook.recipe.optimiser)
        if options.search.mac_budget is not None and outlook.size_is_known:
            check_budget(options.search, price_supernet(model, (spec.channels, *spec.image_size)))
    epochs = _count_epochs(outlook, options)
    if epochs is not None:
        plan_events(options, epochs, 1 - options.density if keep is None else 1 - keep / sum(sizes.values()))
    if options.pruning is not None and keep is not None:
        unmet = find_unmet_minimum(options.pruning, sizes, keep)
        if unmet is not None:
            logger.warning("%s.", unmet)


def _specify(outlook: Outlook, options: SuperticketOptions) -> ModelSpec:
    """Return the specification of the whole supernet, for images that fit it if their size is not known."""
    own = outlook.spec.supernet
    if options.supernet is None and own is None:
        raise ValueError(
            f"extraction.supernet is null, which takes the network of model.name, but {outlook.spec.name} is "
            f"not a supernet; give a preset ({', '.join(PRESETS)})"
        )
    if options.supernet is None and set(options.ignore_layers) != set(outlook.spec.ignore_layers):
        raise ValueError(
            f"extraction.ignore_layers is {list(options.ignore_layers)}, but model.ignore_layers is "
            f"{list(outlook.spec.ignore_layers)}; they must be the same where extraction.supernet is null"
        )
    spec = specify_supernet(outlook.spec, options, outlook.task)
    if outlook.size_is_known or spec.supernet is None:
        return spec
    side = max(STANDING_IN, spec.supernet.stride)
    return spec.model_copy(update={"image_size": (side, side), "supernet": _with_one_head(spec.supernet)})


def _with_one_head(supernet: Supernet) -> Supernet:
    """Return a supernet whose heads divide every grid: names and numbers of weights are the same."""
    return supernet.model_copy(update={"attention": supernet.attention.model_copy(update={"heads": 1})})


def _count_kept(outlook: Outlook, options: SuperticketOptions, sizes: dict[str, int]) -> int | None:
    """Return k; None if it depends on a network that is not known yet."""
    if options.pruning is None or options.density_of == "supernet":
        return count_kept(options, sizes, None)
    if outlook.network is None or not outlook.size_is_known:
        return None
    return count_kept(options, sizes, outlook.network)


def _count_epochs(outlook: Outlook, options: SuperticketOptions) -> int | None:
    """Return the epochs of the search; None if the recipe counts iterations."""
    if options.epochs is None:
        return outlook.recipe.epochs
    try:
        return outlook.recipe.replace(epochs=options.epochs).epochs
    except ValidationError as error:  # a milestone after the end, for example
        fault = describe_file_fault(Recipe, error)
        raise ValueError(f"extraction.epochs is {options.epochs}, but {fault}") from error
