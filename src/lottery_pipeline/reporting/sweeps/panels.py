"""What the figures of a sweep share: a panel for each experiment, lines with bands or bars, one legend."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go

from lottery_pipeline.reporting.layout import (
    MARGIN_BOTTOM,
    MARGIN_TOP,
    leave_empty,
    legend_note,
    start_figure,
)
from lottery_pipeline.reporting.metric import ACCURACY, put_metric
from lottery_pipeline.reporting.palette import fade
from lottery_pipeline.reporting.sweeps.series import Cell, Series

MOST_PANELS = 6
PANEL, GAP = 380, 70  # pixels: of a panel, and between two
NOTHING = "No result of this sweep is there yet."
BAND = 0.16  # opacity
_APART = 1.02  # ratio of the ends of a band on a logarithmic axis; one that is narrower could not be seen


def list_experiments(series: Sequence[Series]) -> list[str]:
    """Return the experiments in the order of their lines."""
    return list(dict.fromkeys(one.experiment for one in series))


def start_panels(title: str, series: Sequence[Series], *, columns: int = 1) -> tuple[go.Figure, list[str]]:
    """Make an empty figure with a row of panels for each experiment, up to ``MOST_PANELS``.

    Returns:
        The figure, and the experiments that it shows; without any, it says so.
    """
    experiments = list_experiments(series)
    shown = experiments[:MOST_PANELS]
    rows = max(1, len(shown))
    inner = rows * PANEL + (rows - 1) * GAP
    figure = start_figure(put_metric(title, name_score(series)), height=MARGIN_TOP + MARGIN_BOTTOM + inner)
    if not shown:
        return leave_empty(figure, NOTHING), []
    figure.set_subplots(
        rows=rows,
        cols=columns,
        shared_yaxes=True,
        horizontal_spacing=0.07,
        vertical_spacing=GAP / inner if rows > 1 else None,
        row_titles=[escape(name) for name in shown] if rows > 1 else None,
    )
    if len(experiments) > len(shown):
        figure.add_trace(legend_note(f"{len(experiments) - len(shown)} more experiments, only in the tables"))
    return figure, shown


def name_score(series: Sequence[Series]) -> str:
    """Return the name of the headline number; ``score`` if experiments have different ones."""
    names = {str(cell["metric"]) for one in series for cell in one.cells if isinstance(cell["metric"], str)}
    return names.pop() if len(names) == 1 else "score" if names else ACCURACY


def interval_traces(series: Series, places: Sequence[float | None]) -> Iterator[go.Scatter]:
    """Yield the bands of a line where its cells have intervals and lie apart; else there is none to draw.

    Args:
        series: the line.
        places: of its cells on the first axis; None for one that is not drawn.
    """
    part: list[tuple[float, Cell]] = []
    for place, cell in [*zip(places, series.cells, strict=True), (None, None)]:
        if place is not None and cell is not None and _has_interval(cell):
            part.append((place, cell))
            continue
        if is_band([place for place, _ in part]):
            yield _band(series, part)
        part = []


def draw_bars(series: Series, places: Sequence[float | None]) -> dict[str, Any] | None:
    """Describe the bars through the markers of a line that has no band; None if it has one."""
    drawn = [p for p, cell in zip(places, series.cells, strict=True) if p is not None and _has_interval(cell)]
    if is_band(drawn) or not drawn:
        return None
    known = [cell if _has_interval(cell) else None for cell in series.cells]
    up = [None if cell is None else _shorten(_end(cell) - cell["test_accuracy"]) for cell in known]
    down = [None if cell is None else _shorten(cell["test_accuracy"] - _start(cell)) for cell in known]
    colour = fade(series.look.colour)
    ends = {"symmetric": False, "array": up, "arrayminus": down}
    return {"type": "data", **ends, "color": colour, "thickness": 1.6, "width": 4}


def is_band(places: Sequence[float]) -> bool:
    """Tell whether places on a logarithmic axis follow in one direction, and some way."""
    steps = [second / first for first, second in pairwise(places)]
    if not steps or not (min(steps) > 1 or max(steps) < 1):
        return False
    return not 1 / _APART < places[-1] / places[0] < _APART


def _band(series: Series, part: Sequence[tuple[float, Cell]]) -> go.Scatter:
    places = [place for place, _ in part]
    upper = [_shorten(_end(cell)) for _, cell in part]
    lower = [_shorten(_start(cell)) for _, cell in part]
    return go.Scatter(
        x=places + places[::-1],
        y=upper + lower[::-1],
        mode="lines",
        fill="toself",
        fillcolor=fade(series.look.colour, BAND),
        line={"width": 0},
        name=escape(series.name),
        legendgroup=series.name,
        showlegend=False,
        hoverinfo="skip",
    )


def _has_interval(cell: Cell) -> bool:
    return not math.isnan(cell["test_accuracy_low"])


def _start(cell: Cell) -> float:
    return max(0.0, float(cell["test_accuracy_low"]))


def _end(cell: Cell) -> float:
    """Return the upper end of an interval: what lies above 100 % is not drawn."""
    return min(1.0, float(cell["test_accuracy_high"]))


def _shorten(value: float) -> float:
    """Five significant digits are more than a screen shows."""
    return float(f"{value:.5g}")
