"""Pareto fronts of a sweep: what no other cell beats at its cost, and with its weights."""

from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from lottery_pipeline.reporting.cost_figure import cost_axis
from lottery_pipeline.reporting.layout import axis, column, density_axis
from lottery_pipeline.reporting.metric import put_metric
from lottery_pipeline.reporting.palette import DENSE_COLOUR, fade
from lottery_pipeline.reporting.sweeps.panels import list_experiments, name_score, start_panels
from lottery_pipeline.reporting.sweeps.series import Series, describe_hover, list_series

PANELS = (("epochs", "on_cost_front"), ("density", "on_density_front"))
FRONT = "Pareto front"


def draw_fronts(cells: pd.DataFrame) -> go.Figure:
    """Draw all cells, and the fronts as steps: accuracy against epochs on the left, density on the right.

    Args:
        cells: as ``summarise_cells`` makes them.

    Returns:
        A row of two panels for each experiment; better is to the top left. Cells on a front are opaque.
    """
    series = list_series(cells)
    figure, shown = start_panels("Pareto fronts", series, columns=len(PANELS))
    several = len(list_experiments(series)) > 1
    named: set[str] = set()
    for row, experiment in enumerate(shown, start=1):
        own = [one for one in series if one.experiment == experiment]
        for number, (cost, front) in enumerate(PANELS, start=1):
            for trace in (
                *_front(own, cost, front),
                *(_cells(one, cost, front, several=several) for one in own),
            ):
                trace.showlegend = trace.name not in named
                named.add(str(trace.name))
                figure.add_trace(trace, row=row, col=number)
            values = [cell[cost] for one in own for cell in one.cells if cell[cost] > 0]
            figure.update_xaxes(_describe_axis(cost, values, titled=row == len(shown)), row=row, col=number)
        figure.update_yaxes(axis("", tickformat=".1~%", nticks=7), row=row)
        score = put_metric("Test accuracy", name_score(own))
        figure.update_yaxes(title={"text": score, "standoff": 10}, row=row, col=1)
    return figure


def _front(series: Sequence[Series], cost: str, front: str) -> list[go.Scatter]:
    chosen = sorted(
        (cell for one in series for cell in one.cells if cell[front]), key=lambda cell: cell[cost]
    )
    if not chosen:
        return []
    return [
        go.Scatter(
            x=column(chosen, cost),
            y=column(chosen, "test_accuracy"),
            mode="lines",
            name=FRONT,
            legendgroup=FRONT,
            line={"color": DENSE_COLOUR, "width": 2, "shape": "hv"},
            hoverinfo="skip",
        )
    ]


def _cells(series: Series, cost: str, front: str, *, several: bool) -> go.Scatter:
    look, known = (
        series.look,
        [{**cell, cost: cell[cost] if cell[cost] > 0 else None} for cell in series.cells],
    )
    return go.Scatter(
        x=column(known, cost),
        y=column(known, "test_accuracy"),
        mode="markers",
        name=escape(series.name),
        legendgroup=series.name,
        marker={
            "symbol": look.symbol,
            "size": [11 if cell[front] else 7 for cell in known],
            "color": [look.colour if cell[front] else fade(look.colour) for cell in known],
            "opacity": 1,
            "line": {"width": 1.4 if look.symbol.endswith("-open") else 0},
        },
        text=[describe_hover(series, cell, several=several) for cell in series.cells],
        hoverinfo="text",
    )


def _describe_axis(cost: str, values: Sequence[float], *, titled: bool) -> dict[str, Any]:
    if cost == "density":
        return density_axis("Remaining weights" if titled else "", values, decreasing=False)
    title = {"text": "Epochs of search<br>and training" if titled else "", "standoff": 10}
    return {**cost_axis("epochs", values), "title": title}
