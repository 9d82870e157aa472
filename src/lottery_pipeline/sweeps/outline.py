"""The plan of a sweep in words and numbers, before it is computed."""

from collections.abc import Iterable, Sequence

import click

from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.sweeps.plan import Plan, Point

_MOST_LINES = 60


def print_outline(plan: Plan) -> None:
    """Print the points of a plan, what is done of them, and what the rest will cost."""
    for line in outline(plan):
        click.echo(line)


def outline(plan: Plan) -> list[str]:
    """Return the lines: a point each, shared work first, and the sum.

    Costs are in epochs-equivalents. Where a method tells its cost only from the images or the network, there
    is a question mark, and the sum says "at least".
    """
    points = [*plan.shared, *plan.points]
    missing = plan.list_missing()
    lacking = {point.variant for point in missing}
    width = max(len(point.key) for point in points)
    lines = [f"{'point':{width}}  {'state':8} {'search':>8} {'train':>8}  epochs"]
    shown = points if len(points) <= _MOST_LINES else points[:_MOST_LINES]
    for point in shown:
        search, train = (_write(point.epochs.get(part)) for part in ("search", "train"))
        state = "missing" if point.variant in lacking else "done"
        lines.append(f"{point.key:{width}}  {state:8} {search:>8} {train:>8}")
    if len(points) > len(shown):
        lines.append(f"... and {len(points) - len(shown)} more")
    return [*lines, _sum_up(plan, missing, len(points) - len(missing))]


def _sum_up(plan: Plan, missing: Sequence[Point], done: int) -> str:
    known, unknown = count_epochs(missing)
    least = "at least " if unknown else ""
    shared = f" and {len(plan.shared)} dense runs that they share" if plan.shared else ""
    return (
        f"{plan.sweep}: {len(plan.points)} points{shared}; {done} of these are done. What is missing costs "
        f"{least}{write_number(round(known, 1))} epochs-equivalents."
    )


def count_epochs(points: Iterable[Point]) -> tuple[float, int]:
    """Return the planned epochs of points, and how many costs among them nobody knows."""
    costs = [point.epochs.get(part) for point in points for part in ("search", "train")]
    return sum(cost for cost in costs if cost is not None), sum(cost is None for cost in costs)


def _write(epochs: float | None) -> str:
    return "?" if epochs is None else write_number(round(epochs, 1))
