"""The cells of a sweep: what differs in nothing but the seed, summarised over seeds."""

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from lottery_pipeline.reporting.sweeps.fronts import find_front
from lottery_pipeline.reporting.sweeps.rows import PIPELINES, list_axes
from lottery_pipeline.statistics.intervals import Interval
from lottery_pipeline.statistics.moments import t_bounds
from lottery_pipeline.statistics.non_inferiority import is_non_inferior

WINNING, WORSE, UNDECIDED = "winning", "worse", "undecided"
MEANS = (
    *("density", "kept", "prunable", "validation_accuracy", "dense_accuracy"),
    *("search_epochs", "train_epochs", "epochs", "search_seconds", "train_seconds", "seconds"),
    *("macs_theoretical", "macs_executed"),
)
STATISTICS = (
    *("n", "missing", "test_accuracy", "test_accuracy_std", "test_accuracy_low", "test_accuracy_high"),
    *("difference", "difference_std", "difference_low", "difference_high", "verdict"),
)
FRONTS = ("on_cost_front", "on_density_front")


def average_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """Give every row its cell, and take the mean of what one cell has of one seed.

    Two ladders of one seed may both have a rung; as the seed is the unit, they count once.

    Args:
        rows: as ``tabulate_points`` makes them.

    Returns:
        A row for each cell and seed: ``cell`` (a number), the columns that tell cells apart, ``seed``,
        ``metric`` and the numbers.
    """
    rows = rows.assign(
        size=rows["kept"].where(rows["kind"] == "rung", -1.0).astype("float64"),
        epochs=rows["search_epochs"] + rows["train_epochs"],
        seconds=rows["search_seconds"] + rows["train_seconds"],
    )
    keys = ["experiment", "kind", "method", "density_asked", "size", *list_axes(rows)]
    rows = rows.assign(cell=rows.groupby(keys, dropna=False, sort=True).ngroup())
    numbers = [*MEANS, "test_accuracy", "accuracy_delta"]
    found = rows.sort_values(["cell", "seed", "point"]).groupby(["cell", "seed"], dropna=False, sort=True)
    return found[[*keys, "metric"]].first().join(found[numbers].mean()).reset_index()


def summarise_cells(rows: pd.DataFrame, *, margin: float = 0.01) -> pd.DataFrame:
    """Summarise every cell over its seeds.

    Args:
        rows: as ``tabulate_points`` makes them; their order does not matter.
        margin: xi: by how much a ticket may lose to its own dense parent and still be winning, a fraction.

    Returns:
        A row for each cell, by experiment, then densest first, then by validation accuracy. The columns that
        tell cells apart, means (of ``epochs``, search and training together, for one), ``n`` seeds with a
        test accuracy, how many are ``missing`` one, its mean, standard deviation and 95 % t-interval, and the
        same of its ``difference`` to the dense parent of the same seed. The ``verdict`` is ``winning`` if
        the whole interval of the difference lies above -margin, ``worse`` if it lies below, else
        ``undecided``, as always with one seed. ``on_cost_front`` and ``on_density_front``: whether no other
        cell of the experiment is more accurate at no more epochs, or with no more weights.
    """
    seeds = average_seeds(rows)
    axes, groups = list_axes(rows), seeds.groupby("cell", sort=True)
    cells = groups[["experiment", "kind", "method", "density_asked", *axes, "metric"]].first()
    # ``first`` skips what is missing, but no cell has some of a key.
    for name, column in (("test_accuracy", "test_accuracy"), ("difference", "accuracy_delta")):
        known = groups[column].agg(["mean", "std", "count"])
        cells[name], cells[f"{name}_std"] = known["mean"], known["std"]
        mean, deviation, count = (known[part].tolist() for part in ("mean", "std", "count"))
        ends = t_bounds(mean, deviation, count)
        cells[f"{name}_low"], cells[f"{name}_high"] = ends
    cells["n"] = groups["test_accuracy"].count()
    cells["missing"] = groups.size() - cells["n"]
    # The mean of equal numbers may be off by rounding, and would sort and compare as another one.
    means, alike = groups[list(MEANS)].mean(), groups[list(MEANS)].nunique() == 1
    cells = cells.join(means.where(~alike, groups[list(MEANS)].first()))
    # Of cells whose tickets keep different numbers of weights, no density compares.
    cells["kept_varies"] = groups["kept"].nunique() > 1
    cells["verdict"] = [_judge(interval, margin) for interval in _list_intervals(cells)]
    cells = _mark_fronts(cells)
    order = ["experiment", "density", "validation_accuracy", "kind", "method", *axes]
    rising = [True, False, False, False, True, *[True] * len(axes)]
    columns = ["experiment", "kind", "method", "density_asked", *axes, "metric", *STATISTICS, *MEANS]
    cells = cells.sort_values(order, ascending=rising, kind="stable")
    return cells[[*columns, "kept_varies", *FRONTS]].reset_index(names="cell")


def drop_covered(cells: pd.DataFrame) -> pd.DataFrame:
    """Leave out rungs whose method has a ticket of its own with as many weights, under the same axes."""
    keys = ["experiment", "method", "kept", *(name for name in list_axes(cells) if name != PIPELINES)]
    ticket = cells["kind"] == "ticket"
    known = cells.assign(tickets=ticket.astype("int64")).groupby(keys, dropna=False, sort=False)["tickets"]
    return cells[ticket | (known.transform("sum") == 0)]


def _mark_fronts(cells: pd.DataFrame) -> pd.DataFrame:
    for front, cost in zip(FRONTS, ("epochs", "density"), strict=True):
        marks: dict[Any, bool] = {}
        pruned = drop_covered(cells)
        pruned = pruned[pruned["kept"] < pruned["prunable"]]  # rung 0 is the dense network
        for _, own in pruned.groupby("experiment", sort=False):
            on_front = find_front(own[cost].tolist(), own["test_accuracy"].tolist())
            marks |= dict(zip(own.index, on_front.tolist(), strict=True))
        cells[front] = [marks.get(index, False) for index in cells.index]
    return cells


def _list_intervals(cells: pd.DataFrame) -> Iterator[Interval]:
    """Yield the intervals of the differences to the dense parents."""
    for mean, low, high, n in zip(
        *(cells[name].tolist() for name in ("difference", "difference_low", "difference_high", "n")),
        strict=True,
    ):
        known = not (math.isnan(low) or math.isnan(high))
        yield Interval(mean, low if known else None, high if known else None, n)


def _judge(interval: Interval, margin: float) -> str:
    if interval.high is None:
        return UNDECIDED
    if is_non_inferior(interval, margin):
        return WINNING
    return WORSE if interval.high < -margin else UNDECIDED
