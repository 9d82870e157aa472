"""The curves of one training or search, whatever was recorded in its rows."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go

from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.reporting.layout import axis, column, log_axis, start_figure
from lottery_pipeline.training.history import CLOCK_COLUMNS

Rows = Sequence[Mapping[str, Any]]

MOMENTS = ("epoch", "step", "round")  # what may count the rows, best first
NOT_DRAWN = {*MOMENTS, *CLOCK_COLUMNS, "rung", "learning_rate"}
COLOURS = {"validation": "#0072B2", "train": "#D55E00"}
MOST_PANELS = 6
MOST_POINTS = 1000
MOST_ROWS = 50


def draw_history(rows: Rows) -> go.Figure:
    """Draw a panel for each recorded quantity, training and validation together, over the course of a run.

    Args:
        rows: a history or a trace. The curves run over the first of epoch, step and round that always rises;
            else over the rows, as in a search that trains several times.

    Returns:
        The figure; a table where the rows are no course: a single row, or rows that differ in a text, such
        as one for each layer.
    """
    panels = _arrange_panels(rows)
    if len(rows) < 2 or not panels or _differ_in_text(rows):
        return _draw_table(rows)
    moment = next((name for name in MOMENTS if _rises(rows, name)), None)
    places = [row[moment] for row in rows] if moment else list(range(1, len(rows) + 1))
    stride = math.ceil(len(rows) / MOST_POINTS)
    shown = slice((len(rows) - 1) % stride, None, stride)  # with the last row
    figure = start_figure("", height=140 + 180 * len(panels))
    figure.set_subplots(rows=len(panels), cols=1, shared_xaxes=True, vertical_spacing=0.12 / len(panels))
    named: set[str] = set()
    for panel, (quantity, curves) in enumerate(panels.items(), start=1):
        values = {part: column(rows[shown], name) for part, name in curves.items()}
        for part, heights in values.items():
            figure.add_scatter(
                x=places[shown],
                y=heights,
                mode="lines",
                name=part,
                legendgroup=part,
                showlegend=part in COLOURS and part not in named,
                line={"color": COLOURS.get(part, COLOURS["validation"]), "width": 2},
                row=panel,
                col=1,
            )
        named |= values.keys()
        figure.update_xaxes(axis(""), row=panel)
        figure.update_yaxes(_choose_axis(quantity, values), row=panel)
    figure.update_xaxes(title={"text": moment or "row", "standoff": 10}, row=len(panels))
    return figure


def _arrange_panels(rows: Rows) -> dict[str, dict[str, str]]:
    """Return the columns to draw, by quantity and by part."""
    panels: dict[str, dict[str, str]] = {}
    for name in dict.fromkeys(key for row in rows for key in row):
        known = [row[name] for row in rows if row.get(name) is not None]
        if name in NOT_DRAWN or not known or not all(map(_is_number, known)):
            continue
        part, _, quantity = name.partition("_")
        if part in COLOURS and quantity:
            panels.setdefault(quantity, {})[part] = name
        else:
            panels[name] = {name: name}
    return dict(list(panels.items())[:MOST_PANELS])


def _choose_axis(quantity: str, values: Mapping[str, Sequence[float | None]]) -> dict[str, Any]:
    if quantity == "accuracy":
        return axis("accuracy", tickformat=".1~%", nticks=6)
    if quantity == "loss":
        return log_axis("loss", [value for heights in values.values() for value in heights])
    return axis(quantity.replace("_", " "), nticks=6)


def _differ_in_text(rows: Rows) -> bool:
    texts = {(key, value) for row in rows for key, value in row.items() if isinstance(value, str)}
    return len(texts) > len({key for key, _ in texts})


def _rises(rows: Rows, name: str) -> bool:
    moments = [row[name] for row in rows if _is_number(row.get(name))]
    return len(moments) == len(rows) and all(first < second for first, second in pairwise(moments))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _draw_table(rows: Rows) -> go.Figure:
    names = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_as_text(row.get(name)) for row in rows[:MOST_ROWS]] for name in names]
    figure = start_figure("", height=190 + 30 * min(len(rows), MOST_ROWS))
    figure.add_table(
        header={"values": [escape(name.replace("_", " ")) for name in names], "align": "left"},
        cells={"values": cells, "align": "left"},
    )
    return figure


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return write_number(value, 4) if isinstance(value, float) else escape(str(value))
