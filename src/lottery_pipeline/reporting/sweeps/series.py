"""The lines of a sweep's figures: the cells of one method with the same axes, and how they appear."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.metric import put_metric
from lottery_pipeline.reporting.palette import Look, look_of
from lottery_pipeline.reporting.sweeps.cells import drop_covered
from lottery_pipeline.reporting.sweeps.rows import AXIS, PIPELINES, list_axes, list_records, name_value

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
MOST_SERIES = 40  # more lines tell nobody anything, and make a browser slow

Cell = Mapping[str, Any]


@dataclass(frozen=True)
class Series:
    """Cells that make one line.

    Attributes:
        experiment: of all of them.
        name: the method, and the axes in which it differs from other lines; plain text.
        look: of the method.
        dash: of the line; None if the cells belong to too many lines to be drawn as such.
        cells: densest first.
    """

    experiment: str
    name: str
    look: Look
    dash: str | None
    cells: list[dict[str, Any]]


def list_series(cells: pd.DataFrame) -> list[Series]:
    """Group cells into lines, by experiment, method and the other axes.

    Args:
        cells: as ``summarise_cells`` makes them; rungs that a ticket covers are left out.

    Returns:
        Lines in the order of their first cells; one for each method if there would be more than
        ``MOST_SERIES``.
    """
    shown = drop_covered(cells)
    axes = list_varying(shown)
    groups = shown.groupby(["experiment", "method", *axes], dropna=False, sort=False)
    crowded = groups.ngroups > MOST_SERIES
    if crowded:
        axes, groups = [], shown.groupby(["experiment", "method"], sort=False)
    # The same settings look the same in every panel and figure.
    settings = sorted({name_axes(record, axes) for record in list_records(shown)})
    found = []
    for _, group in groups:
        records = list_records(group)
        records.sort(key=lambda record: -record["density"] if record["density"] == record["density"] else 0)
        first = records[0]
        place = settings.index(name_axes(first, axes))
        look = look_of(str(first["method"]))
        if place % 2:
            look = Look(look.label, look.colour, f"{look.symbol.removesuffix('-open')}-open")
        dash = None if crowded else DASHES[place % len(DASHES)]
        found.append(Series(str(first["experiment"]), name_cell(first, axes), look, dash, records))
    return found


def list_varying(cells: pd.DataFrame) -> list[str]:
    """Return the axes in which cells differ, but for what the name of the method says already."""
    axes = [name for name in list_axes(cells) if name != PIPELINES and cells[name].nunique() > 1]
    if PIPELINES in cells and (cells.groupby("method")[PIPELINES].nunique() > 1).any():
        axes.append(PIPELINES)
    return axes


def name_cell(cell: Cell, axes: Iterable[str]) -> str:
    """Name a cell for people: ``CTS (start init)``."""
    label, other = look_of(str(cell["method"])).label, name_axes(cell, axes)
    return f"{label} ({other})" if other else label


def name_axes(cell: Cell, axes: Iterable[str]) -> str:
    """Name the place of a cell on some axes, those that it has: ``start init, epochs 20``."""
    there = [(name, cell[name]) for name in axes if not _is_absent(cell[name])]
    return ", ".join(f"{name_axis(name)} {name_value(value)}" for name, value in there)


def name_axis(column: str) -> str:
    """Name an axis for people: the last part of ``cts.extraction.epochs``."""
    return column.removeprefix(AXIS).rpartition(".")[2].replace("_", " ")


def print_range(low: Any, high: Any, *, signed: bool = False) -> str:
    """Print an interval, in percent or (``signed``) in points; empty if there is none.

    No accuracy is below 0 or above 100 %, whatever the interval of a few seeds says.
    """
    if fmt.is_missing(low) or fmt.is_missing(high):
        return ""
    if signed:
        return f"{fmt.points(low)} to {fmt.points(high)}"
    return f"{fmt.percent(max(0.0, low))} to {fmt.percent(min(1.0, high))}"


def print_p(value: Any) -> str:
    """Print a p-value: ``0.012``; very small ones are all alike."""
    return fmt.DASH if fmt.is_missing(value) else "< 0.0001" if value < 0.0001 else fmt.number(value, 2)


def describe_hover(series: Series, cell: Cell, *, several: bool) -> str:
    """Say what a marker stands for.

    Args:
        series: its line.
        cell: the marker.
        several: whether the sweep has several experiments, so that this one is named.
    """
    metric = cell["metric"] if isinstance(cell["metric"], str) else "accuracy"
    seeds = f"{cell['n']} seed{'' if cell['n'] == 1 else 's'}"
    title = f"{escape(series.name)}{', a rung' if cell['kind'] == 'rung' else ''}"
    lines = [f"<b>{title}</b>", *([escape(series.experiment)] if several else [])]
    lines.append(
        put_metric(f"test accuracy {fmt.percent(cell['test_accuracy'], 2)}, {seeds}", escape(metric))
    )
    if interval := print_range(cell["test_accuracy_low"], cell["test_accuracy_high"]):
        lines.append(f"95% interval {interval}")
    if not fmt.is_missing(cell["difference"]):
        ends = print_range(cell["difference_low"], cell["difference_high"], signed=True)
        lines.append(f"{fmt.points(cell['difference'])} points against dense{f' ({ends})' if ends else ''}")
    lines.append(f"density {fmt.density(cell['density'])}: {fmt.whole(cell['kept'])} weights")
    if not fmt.is_missing(cell["epochs"]):
        lines.append(
            f"search {fmt.epochs(cell['search_epochs'])}, training {fmt.epochs(cell['train_epochs'])} epochs"
        )
    return "<br>".join(lines)


def _is_absent(value: Any) -> bool:
    return value is None or value != value
