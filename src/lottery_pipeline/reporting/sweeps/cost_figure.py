"""Accuracy of a sweep against cost: epochs of search and training together, means over seeds."""

import math
from collections.abc import Sequence
from html import escape

import pandas as pd
import plotly.graph_objects as go

from lottery_pipeline.reporting.cost_figure import cost_axis
from lottery_pipeline.reporting.layout import axis, column
from lottery_pipeline.reporting.metric import put_metric
from lottery_pipeline.reporting.sweeps.panels import (
    draw_bars,
    interval_traces,
    list_experiments,
    name_score,
    start_panels,
)
from lottery_pipeline.reporting.sweeps.series import Series, describe_hover, list_series

STEP = 0.012  # of the axis, between markers of equal cost
MOST_BESIDE = 8  # of them; more would reach the next method
SMALL, LARGE = 8.0, 16.0  # markers of the fewest and of the most weights, in pixels


def draw_cost(cells: pd.DataFrame) -> go.Figure:
    """Draw mean test accuracy over the cost of search and training, a panel for each experiment.

    Args:
        cells: as ``summarise_cells`` makes them; those without a cost, such as rungs, are left out.

    Returns:
        A line for each method and setting, densest first, with a band where its costs differ, else with
        bars. A larger marker has more weights.
    """
    series = list_series(cells[cells["epochs"] > 0])
    figure, shown = start_panels("Test accuracy against cost", series)
    several = len(list_experiments(series)) > 1
    named: set[str] = set()
    for row, experiment in enumerate(shown, start=1):
        own = [one for one in series if one.experiment == experiment]
        kept = [cell["kept"] for one in own for cell in one.cells]
        costs = [cell["epochs"] for one in own for cell in one.cells]
        span = math.log10(max(costs) / min(costs)) + 2 * math.log10(1.5)
        for one in own:
            exact = column(one.cells, "epochs")
            places = _part(one, exact, span)
            for trace in (*interval_traces(one, exact), _line(one, places, exact, kept, several=several)):
                if trace.showlegend is None:
                    trace.showlegend = one.name not in named
                    named.add(one.name)
                figure.add_trace(trace, row=row, col=1)
        title = "Epochs of search and training" if row == len(shown) else ""
        figure.update_xaxes(
            {**cost_axis("epochs", costs), "title": {"text": title, "standoff": 10}}, row=row, col=1
        )
        score = put_metric("Test accuracy", name_score(own))
        figure.update_yaxes(axis(score, tickformat=".1~%", nticks=7), row=row, col=1)
    return figure


def _part(series: Series, exact: list[float | None], span: float) -> list[float | None]:
    """Return where the markers of a line stand; where it has bars, those of equal cost are side by side."""
    if draw_bars(series, exact) is None or len(exact) > MOST_BESIDE:
        return exact
    by = [10 ** (STEP * span * (place - (len(exact) - 1) / 2)) for place in range(len(exact))]
    alike = [exact.count(cost) > 1 for cost in exact]
    return [
        None if cost is None else float(f"{cost * shift:.5g}") if moved else cost
        for cost, shift, moved in zip(exact, by, alike, strict=True)
    ]


def _line(
    series: Series,
    places: Sequence[float | None],
    exact: Sequence[float | None],
    kept: Sequence[float],
    *,
    several: bool,
) -> go.Scatter:
    look = series.look
    return go.Scatter(
        x=list(places),
        y=column(series.cells, "test_accuracy"),
        mode="lines+markers" if series.dash and len(series.cells) > 1 else "markers",
        name=escape(series.name),
        legendgroup=series.name,
        line={"color": look.colour, "width": 1.4, "dash": series.dash or "solid"},
        marker={
            "symbol": look.symbol,
            "size": [_size(cell["kept"], kept) for cell in series.cells],
            "color": look.colour,
            "opacity": 1,  # markers of several sizes are transparent by default
            "line": {"width": 1.4 if look.symbol.endswith("-open") else 0},
        },
        error_y=draw_bars(series, exact),
        text=[describe_hover(series, cell, several=several) for cell in series.cells],
        hoverinfo="text",
    )


def _size(count: float, counts: Sequence[float]) -> float:
    """Return the size of a marker: its place among the numbers of weights that there are."""
    sizes = sorted(set(counts))
    if len(sizes) < 2 or count not in sizes:
        return (SMALL + LARGE) / 2
    return round(SMALL + (LARGE - SMALL) * sizes.index(count) / (len(sizes) - 1), 1)
