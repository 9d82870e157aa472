"""SuperTickets (You et al., ECCV 2022, arXiv 2207.03677): a ticket drawn straight from a supernet.

One training of an over-complete network searches its architecture and prunes its weights. L1 on the scales of
units makes some of them die; they are removed for good, with their optimiser state and moving average. In
between, the smallest weights of the whole network are masked, more from event to event, and come back to
train after the next search event. The last event is always both: shrink, then prune to exactly k weights.

The body of the paper could not be read; the rules follow its abstract and the authors' code, without its
slips. Deviations: k is exact and ties go by index; the search has the last word before the last pruning; dead
tokens are removed during training; batch norm is measured anew before every evaluation, so that no constant
has to be folded; rho is solved from the recipe instead of set by hand; the moving average has a time constant
of 5 % of the steps. Classifier and attention weights can be masked too, as in every other method here;
``ignore_layers`` leaves them out, as the authors do. Optimisers are those of the recipe: no RMSProp, no
OneCycle.
"""

import logging
import math
from functools import partial

import torch

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.methods.supertickets.counts import (
    check_budget,
    count_kept,
    count_weights,
    find_unmet_minimum,
    price_supernet,
)
from lottery_pipeline.methods.supertickets.importance import mean_price
from lottery_pipeline.methods.supertickets.joint_search import JointSearch
from lottery_pipeline.methods.supertickets.plan import SearchPlan, decay_of_average
from lottery_pipeline.methods.supertickets.schedule import plan_events, rho_factors, solve_rho
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.supernet.units import find_units
from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.options.supertickets import SuperticketOptions
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.search.extraction import Extraction, Search, StartPoint
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ladder import Ladder, make_ladder
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import State
from lottery_pipeline.training.state import copy_to_cpu

logger = logging.getLogger(__name__)


def extract_supertickets(search: Search, options: SuperticketOptions) -> Extraction:
    """Find a SuperTicket.

    Args:
        search: its dense run is that of the whole supernet, which gives the start weights; ``match`` is the
            network whose weights ``density_of: model`` counts. The recipe is that of the search, with its
            weight decay on convolutions and linear layers alone. ``on_record("search", row)`` gets a row per
            epoch.
        options: when units and weights go.

    Returns:
        The ticket: the architecture found, its mask, and the weights of the search with batch-norm statistics
        of their own. Its ladder has two rungs: the architecture with all weights that it had before the last
        pruning, and the ticket. The trace has a row per epoch: history, ``units``, ``tokens``,
        ``removed`` (of both together, since the start), ``macs``, ``macs_theoretical``, ``parameters``,
        ``kept``, ``density``, ``rho``, ``average_accuracy`` (validation accuracy of the moving average, at
        search events) and ``event``.

    Raises:
        TicketError: the dense run is not that of a whole supernet, or the plan cannot work.
        EventError: the search would remove every unit; the last good state is kept.
        DivergenceError: a loss or a weight is not finite.
    """
    spec = _check_supernet(search, options)
    model = search.build(search.dense.initial)
    plan = plan_search(
        spec,
        search.images,
        search.recipe,
        options,
        seed=search.seed,
        match=search.match,
        allow_factory=search.allow_factory,
    )
    logger.info(
        "supertickets: D = %d weights, k = %d, %d units, rho = %s.",
        *(
            plan.prunable,
            plan.keep,
            sum(group.size for group in find_units(model)),
            write_number(plan.rho, 4),
        ),
    )
    if options.pruning is not None:
        unmet = find_unmet_minimum(options.pruning, count_weights(model, spec), plan.keep)
        if unmet is not None:
            logger.warning("%s.", unmet)
    events = JointSearch(model, spec, plan, search.images, search.place)
    training = train(
        model,
        search.images,
        plan.recipe,
        seed=plan.seed,
        device=search.device,
        checkpoints=search.checkpoints,
        on_record=None if search.on_record is None else partial(search.on_record, "search"),
        label="supertickets search",
        events=events,
    )
    state = copy_to_cpu(events.measured().state_dict())
    ticket = search.make_ticket(
        "supertickets",
        {name: mask.cpu() for name, mask in events.masks.items()},
        StartPoint(0, state),
        events.spec,
    )
    _warn_of_what_did_not_happen(plan, events.units, training.history[-1]["removed"], ticket.kept)
    ladder = _make_ladder(search, events, state)
    # The last calibration makes the ticket's statistics; the others measure, which no method counts.
    calibrated = options.calibration_batches * min(plan.recipe.batch_size, len(search.images.train))
    epochs = training.epochs + calibrated / len(search.images.train) / 3
    macs = round(events.spent * plan.recipe.passes_per_step()) + calibrated * training.history[-1]["macs"]
    part = {"name": "joint search", "epochs": epochs, "seconds": training.seconds, "macs": macs}
    return Extraction(ticket, epochs, training.seconds, ladder=ladder, trace=training.history, parts=[part])


def plan_search(
    spec: ModelSpec,
    images: ImageSplits,
    recipe: Recipe,
    options: SuperticketOptions,
    *,
    seed: int,
    match: ModelSpec | None = None,
    allow_factory: str | None = None,
) -> SearchPlan:
    """Work out counts, prices, events and strengths before anything is trained.

    Args:
        spec: of the whole supernet.
        images: trained on.
        recipe: of the training.
        options: of the search.
        seed: the run's.
        match: the network whose weights ``density_of: model`` counts.
        allow_factory: the trusted ``package.module:factory``, if ``match`` is one.

    Raises:
        TicketError: they cannot work together; one sentence.
        DensityError: the density keeps no weight.
    """
    recipe = recipe if options.epochs is None else recipe.replace(epochs=options.epochs)
    model = build_model(spec, seed=0)
    sizes = count_weights(model, spec)
    prunable, keep = sum(sizes.values()), count_kept(options, sizes, match, allow_factory)
    count = len(images.train)
    rates, per_epoch = recipe.learning_rates(count), recipe.steps_per_epoch(count)
    price = price_supernet(model, (spec.channels, *spec.image_size))
    rho, factors = 0.0, [0.0] * len(rates)
    if options.search is not None:
        factors = rho_factors(options.search, len(rates))
        rho = solve_rho(options.search, rates, optimiser=recipe.optimiser, momentum=recipe.momentum)
        check_budget(options.search, price)
    return SearchPlan(
        options=options,
        recipe=recipe.replace(weight_decay=0.0),
        weight_decay=recipe.weight_decay,
        seed=derive_seed(seed, "supertickets"),
        steps_per_epoch=per_epoch,
        events=plan_events(options, math.ceil(len(rates) / per_epoch), 1 - keep / prunable),
        keep=keep,
        prunable=prunable,
        prices=price.units,
        mean_price=mean_price(find_units(model), price.units),
        macs=price.total,
        rho=rho,
        rho_factors=factors,
        ema_decay=decay_of_average(options.ema_share, len(rates)),
    )


def _check_supernet(search: Search, options: SuperticketOptions) -> ModelSpec:
    spec = search.dense.spec
    if spec.supernet is None or spec.is_reduced:
        raise TicketError(
            f"a SuperTicket is searched in a whole supernet, but the dense run is that of "
            f"{'a smaller network' if spec.supernet else spec.name}; set supertickets.extraction.supernet"
        )
    if set(options.ignore_layers) != set(spec.ignore_layers):
        raise TicketError(
            f"ignore_layers is {list(options.ignore_layers)}, but that of the dense run of the supernet is "
            f"{list(spec.ignore_layers)}; train it again"
        )
    return spec


def _warn_of_what_did_not_happen(plan: SearchPlan, units: int, removed: int, kept: int) -> None:
    """Warn of a search that has removed no unit, and of one that has left fewer weights than were to stay."""
    search = plan.options.search
    if search is not None and not removed:
        logger.warning(
            "supertickets: the search removed none of the %d units: no scale stayed within the threshold %s "
            "under rho = %s. Too small a rho leaves scales large, too large a one makes them jump past 0: "
            "set supertickets.extraction.search.rho to auto, raise search.gamma_threshold, train longer, or "
            "give a search.mac_budget.",
            *(units, write_number(search.gamma_threshold), write_number(plan.rho, 3)),
        )
    if plan.options.pruning is not None and kept < plan.keep:
        logger.warning(
            "supertickets: the architecture found has %d weights, fewer than the %d to keep; all stay.",
            *(kept, plan.keep),
        )


def _make_ladder(search: Search, events: JointSearch, state: State) -> Ladder:
    """Keep the weights from before the last pruning: controls and signatures draw other masks over them."""
    full = copy_to_cpu(events.full_values())
    survived = {name: mask.cpu().to(torch.uint8) for name, mask in events.masks.items()}
    counts = [sum(mask.numel() for mask in survived.values()), sum(int(m.sum()) for m in survived.values())]
    return make_ladder(
        method="supertickets",
        spec=events.spec,
        survived=survived,
        state={**state, **full},
        counts=counts,
        rows=[],
        seed=search.seed,
        rewind_step=0,
        parents=search.parents,
        allow_factory=search.allow_factory,
    )
