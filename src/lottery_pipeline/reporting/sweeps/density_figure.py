"""Accuracy of a sweep against density: means over seeds with the bands of their t-intervals."""

import math
from collections.abc import Sequence
from html import escape

import pandas as pd
import plotly.graph_objects as go

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.layout import axis, column, density_axis, reference_line
from lottery_pipeline.reporting.metric import put_metric
from lottery_pipeline.reporting.sweeps.panels import (
    draw_bars,
    interval_traces,
    list_experiments,
    name_score,
    start_panels,
)
from lottery_pipeline.reporting.sweeps.series import Series, describe_hover, list_series

STEP = 0.022  # of the axis, between markers that bars would hide


def draw_density(cells: pd.DataFrame) -> go.Figure:
    """Draw mean test accuracy over the remaining weights, fewer to the right, a panel for each experiment.

    Args:
        cells: as ``summarise_cells`` makes them.

    Returns:
        A line for each method and setting, with a band, or with bars where the line has one density. Open
        small markers are rungs. The dashed line is the mean of the dense networks.
    """
    series = list_series(cells)
    figure, shown = start_panels("Test accuracy against remaining weights", series)
    several = len(list_experiments(series)) > 1
    named: set[str] = set()
    for row, experiment in enumerate(shown, start=1):
        own = [one for one in series if one.experiment == experiment]
        densities = [cell["density"] for one in own for cell in one.cells if cell["density"] > 0]
        dense = find_dense(cells[cells["experiment"] == experiment])
        if dense is not None:
            ends = [1.0, min([0.9, *densities])]
            name = f"Dense networks, mean {fmt.percent(dense)}"
            line = reference_line(ends, [dense, dense], f"{name} ({experiment})" if several else name)
            figure.add_trace(line, row=row, col=1)
        marked: list[float] = []
        for place, one in enumerate(own):
            exact = [cell["density"] if cell["density"] > 0 else None for cell in one.cells]
            places = _shift(one, exact, place, len(own), densities)
            marked += [place for place in places if place is not None]
            for trace in (*interval_traces(one, exact), _line(one, places, exact, several=several)):
                if trace.showlegend is None:
                    trace.showlegend = one.name not in named
                    named.add(one.name)
                figure.add_trace(trace, row=row, col=1)
        title = "Remaining weights (density)" if row == len(shown) else ""
        figure.update_xaxes(density_axis(title, marked, decreasing=True), row=row, col=1)
        score = put_metric("Test accuracy", name_score(own))
        figure.update_yaxes(axis(score, tickformat=".1~%", nticks=7), row=row, col=1)
    return figure


def find_dense(cells: pd.DataFrame) -> float | None:
    """Return the mean accuracy of the dense parents that most cells share; None if none is known."""
    known = cells[cells["dense_accuracy"].notna()]
    if known.empty:
        return None
    common = known["prunable"].mode().min()
    return float(known.loc[known["prunable"] == common, "dense_accuracy"].mean())


def _shift(
    series: Series, exact: list[float | None], place: int, count: int, densities: Sequence[float]
) -> list[float | None]:
    """Put a line that has bars beside the others that do."""
    if draw_bars(series, exact) is None or not densities:
        return exact
    span = math.log10(1.12) - math.log10(min(densities)) + math.log10(1.12)
    by = 10 ** (STEP * span * ((count - 1) / 2 - place))
    return [None if density is None else float(f"{density * by:.5g}") for density in exact]


def _line(
    series: Series, places: Sequence[float | None], exact: Sequence[float | None], *, several: bool
) -> go.Scatter:
    look, filled = series.look, not series.look.symbol.endswith("-open")
    rungs = [cell["kind"] == "rung" for cell in series.cells]
    return go.Scatter(
        x=list(places),
        y=column(series.cells, "test_accuracy"),
        mode="lines+markers" if series.dash and len(series.cells) > 1 else "markers",
        name=escape(series.name),
        legendgroup=series.name,
        line={"color": look.colour, "width": 2.2, "dash": series.dash or "solid"},
        marker={
            "symbol": [f"{look.symbol}-open" if rung and filled else look.symbol for rung in rungs],
            "size": [7 if rung else 10 for rung in rungs],
            "color": look.colour,
            "opacity": 1,
            "line": {"width": [1.4 if rung or not filled else 0 for rung in rungs]},
        },
        error_y=draw_bars(series, exact),
        text=[describe_hover(series, cell, several=several) for cell in series.cells],
        hoverinfo="text",
    )
