"""How many weights each rung of an IMP ladder keeps: options and layer sizes in, exact counts out."""

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from fractions import Fraction

from lottery_pipeline.options import MAX_ROUNDS, ImpOptions
from lottery_pipeline.sparsity.allocation import allocate_uniform, kept_count
from lottery_pipeline.sparsity.schedules import ladder_counts, layer_counts, round_counts
from lottery_pipeline.tickets.errors import TicketError

Count = int | dict[str, int]


def plan_rungs(options: ImpOptions, sizes: Mapping[str, int]) -> list[Count]:
    """Plan rungs 1 to R before anything is trained.

    Args:
        options: the search's options.
        sizes: number of weights by prunable parameter name, in model order.

    Returns:
        One entry per rung: the total for scope ``global``, a count per layer for scope ``layer``. Empty if
        nothing has to be pruned. With ``one_shot`` only the last rung.

    Raises:
        ValueError: a pattern matches no layer, nothing would be left, or the density is out of reach.
    """
    prunable = sum(sizes.values())
    rungs: list[Count]
    if options.density == 1:
        rungs = []
    elif options.scope == "layer":
        rungs = [*_plan_layers(options, dict(sizes), prunable)]
    elif options.density is not None:
        rungs = [*ladder_counts(prunable, density=options.density, rate=options.rate)]
    else:
        assert options.rounds is not None  # noqa: S101 (ImpOptions has made sure of one of the two)
        rungs = [*round_counts(prunable, rate=options.rate, rounds=options.rounds)]
    if len(rungs) > MAX_ROUNDS:
        raise TicketError(f"the search would need {len(rungs)} rounds, but at most {MAX_ROUNDS} are possible")
    if rungs and total(rungs[-1]) < 1:
        raise TicketError(f"after {len(rungs)} rounds none of {prunable} weights would be left")
    return rungs[-1:] if options.one_shot else rungs


def total(count: Count) -> int:
    """Number of weights a rung keeps over all layers."""
    return count if isinstance(count, int) else sum(count.values())


def match_rates(options: ImpOptions, names: list[str]) -> dict[str, float]:
    """Give every layer its rate: the first matching pattern of ``layer_rates``, else ``rate``.

    Raises:
        TicketError: a pattern matches no layer.
    """
    rates = {}
    for name in names:
        fitting = [rate for pattern, rate in options.layer_rates.items() if _matches(name, pattern)]
        rates[name] = fitting[0] if fitting else options.rate
    for pattern in options.layer_rates:
        if not any(_matches(name, pattern) for name in names):
            layers = ", ".join(_short(name) for name in names[:8])
            raise TicketError(
                f"layer_rates pattern {pattern!r} matches no prunable layer; layers are {layers}"
            )
    return rates


def _plan_layers(options: ImpOptions, sizes: dict[str, int], prunable: int) -> list[dict[str, int]]:
    rates = match_rates(options, list(sizes))
    if options.rounds is not None:
        return layer_counts(sizes, rates=rates, rounds=options.rounds)
    assert options.density is not None  # noqa: S101 (ImpOptions has made sure of one of the two)
    kept = kept_count(options.density, prunable)
    # Rungs as layer_counts gives them, down to the first at or below the target; that one may be empty.
    rungs = [sizes]
    while total(rungs[-1]) > kept:
        if len(rungs) > MAX_ROUNDS:
            raise TicketError(
                f"density {options.density} is out of reach: at these layer_rates {total(rungs[-1])} of "
                f"{prunable} weights are left after {MAX_ROUNDS} rounds"
            )
        shares = {name: (1 - Fraction(str(rates[name]))) ** len(rungs) for name in sizes}
        rungs.append({name: math.floor(shares[name] * size) for name, size in sizes.items()})
    if len(rungs) == 1:
        return []
    before, after = rungs[-2:]
    surplus = kept - total(after)
    last = after
    if surplus:
        lost = allocate_uniform({name: before[name] - after[name] for name in sizes}, surplus)
        last = {name: after[name] + lost[name] for name in sizes}
    # As in the global ladder the number of rounds is the nearest one, so a rung just above the target is
    # dropped.
    nearer_above = kept**2 > total(before) * total(after)
    return [*rungs[1:-2], last] if nearer_above and len(rungs) > 2 else [*rungs[1:-1], last]


def _matches(name: str, pattern: str) -> bool:
    layer = name.removesuffix(".weight")
    return any(
        fnmatchcase(text, pattern) for text in (name, layer, _short(name), layer.removeprefix("network."))
    )


def _short(name: str) -> str:
    return name.removesuffix(".weight").removeprefix("network.")
