"""What all figures share: a plain layout readable on any background, small JSON, axes in familiar units.

The figures are drawn by three programs: the report (the plotly.js of the installed plotly), kedro-viz
(plotly.js 2.35) and MLflow (an html file). So they use old features only, plain lists instead of binary
arrays, and no template.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.reporting.palette import DENSE_COLOUR, fade
from lottery_pipeline.statistics.intervals import Interval

GRID = "rgba(128,134,145,0.22)"
MARGIN_TOP = 56
MARGIN_BOTTOM = 96
INK = "#2A2E35"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"


def start_figure(title: str, *, height: int) -> go.Figure:
    """Make an empty figure with the common layout.

    Args:
        title: one line; the report shows it as a heading instead.
        height: pixels.
    """
    return go.Figure(
        layout={
            "template": "none",
            "title": {"text": title, "x": 0, "xref": "paper", "xanchor": "left", "font": {"size": 17}},
            "height": height,
            "font": {"family": FONT, "size": 13, "color": INK},
            "paper_bgcolor": "rgba(255,255,255,1)",
            "plot_bgcolor": "rgba(255,255,255,0)",
            "margin": {"l": 64, "r": 20, "t": MARGIN_TOP, "b": MARGIN_BOTTOM},
            "legend": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": -66 / (height - MARGIN_TOP - MARGIN_BOTTOM),  # 66 pixels: below the axis and its title
                "yanchor": "top",
            },
            "hoverlabel": {"align": "left", "font": {"family": FONT, "size": 13}},
            "hovermode": "closest",
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": DENSE_COLOUR, "activecolor": "#0072B2"},
        }
    )


def leave_empty(figure: go.Figure, text: str) -> go.Figure:
    """Say in the middle of a figure why nothing is drawn in it."""
    figure.add_annotation(text=text, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure


def axis(title: str, **options: Any) -> dict[str, Any]:
    """Describe an axis with the common grid; ``options`` are plotly's and take precedence."""
    return {
        "title": {"text": title, "standoff": 10},
        "gridcolor": GRID,
        "linecolor": GRID,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": GRID,
        "automargin": True,
        **options,
    }


def density_axis(title: str, densities: Sequence[float], *, decreasing: bool) -> dict[str, Any]:
    """Describe a logarithmic axis of densities with ticks in percent of the remaining weights.

    Args:
        title: of the axis.
        densities: the axis spans them and 100 %; a marker that was moved aside may stand above it.
        decreasing: whether density falls along the axis, as the field draws accuracy against pruning.
    """
    least = min((value for value in densities if value > 0), default=0.1)
    ticks = [1.0]
    while ticks[-1] > least * 1.001:
        decade, mantissa = divmod(len(ticks), 3)
        ticks.append(round((1.0, 0.5, 0.2)[mantissa] * 10.0**-decade, 12))
    ends = [math.log10(1.12 * max([1.0, *densities])), math.log10(min(least / 1.12, 0.9))]
    return axis(
        title,
        type="log",
        range=ends if decreasing else ends[::-1],
        tickmode="array",
        tickvals=ticks,
        ticktext=[f"{write_number(100 * tick, 6)}%" for tick in ticks],
    )


def log_axis(title: str, values: Sequence[float | None], *, form: str = ",~r") -> dict[str, Any]:
    """Describe a logarithmic axis; its ticks are whole numbers (0.5, not a lone 5 below 1).

    Args:
        title: of the axis.
        values: which it spans.
        form: of the ticks: ``,~r`` for losses, written in full, ``~s`` for large counts.
    """
    positive = [value for value in values if value is not None and value > 0] or [1.0]
    first, last = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    mantissas = (1, 2, 5) if last - first <= 3 else (1,)
    ticks = [float(f"{mantissa}e{decade}") for decade in range(first, last + 1) for mantissa in mantissas]
    return axis(title, type="log", tickmode="array", tickvals=ticks, tickformat=form)


def reference_line(x: Sequence[Any], y: Sequence[Any], name: str, *, dash: str = "dash") -> go.Scatter:
    """Draw a straight grey line as a trace, so that it has a legend entry and can be switched off."""
    line = {"color": DENSE_COLOUR, "width": 1.8, "dash": dash}
    return go.Scatter(x=list(x), y=list(y), mode="lines", name=name, line=line, hoverinfo="name")


def legend_note(text: str) -> go.Scatter:
    """Make a row of the legend about something that the figure does not show."""
    marker = {"symbol": "circle-open", "size": 8, "color": DENSE_COLOUR}
    return go.Scatter(x=[None], y=[None], mode="markers", name=text, marker=marker, hoverinfo="skip")


def interval_bars(value: float, interval: Interval | None, colour: str) -> dict[str, Any] | None:
    """Describe the thin bar through a marker that shows the interval of its value; None if there is none."""
    if interval is None or interval.low is None or interval.high is None:
        return None
    up, down = (float(f"{length:.4g}") for length in (interval.high - value, value - interval.low))
    ends = {"array": [max(0.0, up)], "arrayminus": [max(0.0, down)]}
    return {"type": "data", "symmetric": False, **ends, "color": fade(colour), "thickness": 1.2, "width": 3}


def column(rows: Iterable[Mapping[str, Any]], key: str) -> list[float | None]:
    """Take one column of records; numbers that are missing or not finite become gaps.

    Five significant digits are more than a screen shows and keep the JSON small.
    """
    values = (row.get(key) for row in rows)
    return [float(f"{value:.5g}") if value is not None and math.isfinite(value) else None for value in values]
