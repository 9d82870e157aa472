"""When a search for a SuperTicket acts: search and prune events by epoch, and the strength of the L1 pull."""

import math
from dataclasses import dataclass
from itertools import pairwise

from lottery_pipeline.options.supertickets import SuperticketOptions, UnitSearchOptions, WeightPruningOptions
from lottery_pipeline.tickets.errors import TicketError

AUTO_SHARE = (
    0.6  # of the training: when the pull alone would have taken a scale to 0, and sparsity is reached
)


@dataclass(frozen=True)
class Event:
    """What happens at the end of an epoch; the search comes before the pruning.

    Attributes:
        search: share of the search events that are done with this one; 0 if it is none, so that dead units
            stay.
        sparsity: share of D that is masked afterwards; None without pruning.
        last: whether it is the last event.
    """

    search: float
    sparsity: float | None
    last: bool


def plan_events(options: SuperticketOptions, epochs: int, sparsity: float) -> dict[int, Event]:
    """Return the events by epoch, counted from 1.

    The order within an epoch, search and then pruning, is that of the authors' code. Whatever the intervals,
    the last epoch ends with both, so that the ticket has the architecture of the last search.

    Args:
        options: intervals, and how sparsity rises.
        epochs: of the training.
        sparsity: 1 - density, the share that is masked at the end.

    Raises:
        TicketError: pruned weights could never train again, because no search event comes between two prune
            events; or the search starts after the last epoch.
    """
    searches: set[int] = set()
    if options.search is not None:
        every, start = to_epochs(options.search.every, epochs), options.search.start * epochs
        searches = {epoch for epoch in range(every, epochs + 1, every) if epoch > start} | {epochs}
    pruned: dict[int, float] = {}
    if options.pruning is not None:
        every, end = to_epochs(options.pruning.every, epochs), options.pruning.end * epochs
        prunings = [epoch for epoch in range(every, epochs, every) if epoch <= end]
        _check_reactivation(options.pruning, searches, prunings)
        shares = plan_sparsity(options.pruning, len(prunings) + 1, sparsity)
        pruned = dict(zip([*prunings, epochs], shares, strict=True))
    done = {epoch: (place + 1) / len(searches) for place, epoch in enumerate(sorted(searches))}
    return {
        epoch: Event(done.get(epoch, 0.0), pruned.get(epoch), epoch == epochs)
        for epoch in sorted(searches | pruned.keys())
    }


def plan_sparsity(options: WeightPruningOptions, events: int, sparsity: float) -> list[float]:
    """Return the share of D that each prune event masks: min(i step, sparsity) at event i, counted from 1.

    The last event always masks the full share.
    """
    if not options.progressive:
        return [sparsity] * events
    step = sparsity / max(1, math.ceil(AUTO_SHARE * events)) if options.step == "auto" else options.step
    return [min(number * step, sparsity) for number in range(1, events)] + [sparsity]


def to_epochs(interval: float, epochs: int) -> int:
    """Turn an interval into whole epochs: below 1 it is a share of the training."""
    return max(1, round(interval * epochs if interval < 1 else interval))


def rho_factors(options: UnitSearchOptions, steps: int) -> list[float]:
    """Return the factor of rho at each step: 0, then linear from 0 to 1 over the warm-up, then 1."""
    start, warmup = options.start * steps, options.rho_warmup * steps
    return [
        0.0 if step < start else min(1.0, (step - start) / warmup) if warmup else 1.0 for step in range(steps)
    ]


def solve_rho(options: UnitSearchOptions, rates: list[float], *, optimiser: str, momentum: float) -> float:
    """Return rho, or the one with which the pull alone takes a scale from 1 to 0 in 60 % of the steps.

    SGD with momentum m moves a scale under a constant gradient by lr / (1 - m) times the gradient in the long
    run, so rho = 1 / sum_t factor_t lr_t / (1 - m), over these steps.

    Args:
        options: rho and its warm-up.
        rates: learning rate of each step.
        optimiser: of the recipe.
        momentum: of the recipe.

    Raises:
        TicketError: ``auto`` with Adam, whose steps hardly depend on the size of a gradient.
    """
    if options.rho != "auto":
        return float(options.rho)
    check_rho(options, optimiser)
    factors = rho_factors(options, len(rates))
    first = math.ceil(options.start * len(rates))
    end = first + max(1, round(AUTO_SHARE * (len(rates) - first)))
    moves = [factor * rate / (1 - momentum) for factor, rate in zip(factors, rates, strict=True)]
    moved = sum(moves[:end]) or sum(moves)  # of very few steps, none may have a pull so early
    if moved == 0:
        raise TicketError(
            f"supertickets.extraction.search.rho is auto, but none of the {len(rates)} steps has a pull; "
            "train longer, or lower rho_warmup or search.start"
        )
    return 1 / moved


def check_rho(options: UnitSearchOptions, optimiser: str) -> None:
    """Refuse ``auto`` with Adam, whose steps hardly depend on the size of a gradient; ``TicketError``."""
    if options.rho == "auto" and optimiser not in ("sgd", "nesterov"):
        raise TicketError(
            f"supertickets.extraction.search.rho is auto, which needs the optimiser sgd or nesterov, not "
            f"{optimiser}: Adam's steps hardly depend on the size of the pull; give rho as a number"
        )


def _check_reactivation(options: WeightPruningOptions, searches: set[int], prunings: list[int]) -> None:
    """Refuse a plan in which weights come back and are pruned again without a step in between."""
    if options.reactivation not in ("every_search", "on_search") or len(prunings) < 2 or not searches:
        return
    if not any(any(first < epoch < second for epoch in searches) for first, second in pairwise(prunings)):
        raise TicketError(
            "pruned weights would never train again, because no search event comes between two prune events; "
            "make supertickets.extraction.pruning.every at least two times search.every, or set "
            "pruning.reactivation to never or after_prune"
        )
