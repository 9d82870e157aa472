"""Sanity checks: what each change of a ticket does to its accuracy, as a forest plot."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.layout import MARGIN_BOTTOM, MARGIN_TOP, axis, reference_line, start_figure
from lottery_pipeline.reporting.palette import Look, look_of

Rows = Sequence[Mapping[str, Any]]
CHECK_LABELS = {
    "shuffle": "shuffled mask",
    "reinitialise": "new initial weights",
    "inversion": "lowest scores kept",
    "corrupted_data": "search on corrupted images",
    "half_data": "search on half of the images",
}
NOTHING = "No sanity check has been run."
EDGE = -20.0  # percentage points: an inverted ticket may lose three times as much, and would hide the others


def draw_sanity_checks(summary: Rows, rows: Rows) -> go.Figure:
    """Draw the change of test accuracy in points, its interval over seeds, and every seed.

    Args:
        summary: as ``summarise_sanity`` makes it: one line each, in this order from the top, with the verdict
            on the right.
        rows: as ``check_sanity`` makes them: one small upright stroke each.

    Returns:
        A figure with two traces per method (means and seeds) and a line at no change; without a summary, an
        empty one that says so.
    """
    height = MARGIN_TOP + MARGIN_BOTTOM + 40 + 30 * len(summary)
    figure = start_figure("Sanity checks: what a change costs", height=max(height, 320))
    if not summary:
        figure.add_annotation(text=NOTHING, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
        return figure
    lines = [_label_line(row) for row in summary]
    figure.add_trace(reference_line([0] * len(lines), lines, "No change", dash="dot"))
    for method in dict.fromkeys(str(row["method"]) for row in summary):
        look = look_of(method)
        own = [row for row in rows if row["method"] == method]
        figure.add_trace(_seed_trace(look, own))
        figure.add_trace(_mean_trace(look, [row for row in summary if row["method"] == method]))
    for row, line in zip(summary, lines, strict=True):
        place = {"xref": "paper", "xanchor": "left", "y": line, "showarrow": False}
        change = fmt.points(row["difference"])
        figure.add_annotation(text=f"{change}, {row['verdict']}", x=1, xshift=8, **place)
        if _points(row["difference"]) < EDGE:
            colour = look_of(str(row["method"])).colour
            figure.add_annotation(text="◀", x=0, xshift=4, font={"color": colour}, **place)
    figure.update_layout(margin={"r": 130})
    title = "Change of test accuracy, percentage points"
    figure.update_xaxes(axis(title, range=_span([*summary, *rows])))
    order = {"categoryorder": "array", "categoryarray": lines, "autorange": "reversed"}
    figure.update_yaxes(axis("", type="category", **order))
    return figure


def _label_line(row: Mapping[str, Any]) -> str:
    check = str(row["check"])
    name = CHECK_LABELS.get(check, check.replace("_", " "))
    return escape(f"{look_of(str(row['method'])).label}: {name}")


def _span(rows: Rows) -> list[float]:
    """Return the ends of the axis: they span everything measured, but nothing below the edge."""
    keys = ("difference", "low", "high")
    values = [_points(row[key]) for row in rows for key in keys if row.get(key) is not None]
    low, high = max(EDGE, min([-1.0, *values])), max([1.0, *values])
    return [low - 0.05 * (high - low), high + 0.05 * (high - low)]


def _points(value: float) -> float:
    return float(f"{100 * value:.5g}")


def _seed_trace(look: Look, rows: Rows) -> go.Scatter:
    return go.Scatter(
        x=[_points(row["difference"]) for row in rows],
        y=[_label_line(row) for row in rows],
        mode="markers",
        name=escape(f"{look.label}, one seed"),
        legendgroup=escape(look.label),
        showlegend=False,
        # Higher than the marker of the mean, which may lie on it.
        marker={"symbol": "line-ns", "size": 17, "line": {"width": 1.5, "color": look.colour}},
        text=[_hover_seed(row) for row in rows],
        hoverinfo="text",
    )


def _mean_trace(look: Look, summary: Rows) -> go.Scatter:
    halves = [None if row["high"] is None else _points(row["high"] - row["difference"]) for row in summary]
    return go.Scatter(
        x=[_points(row["difference"]) for row in summary],
        y=[_label_line(row) for row in summary],
        mode="markers",
        name=escape(look.label),
        legendgroup=escape(look.label),
        marker={"symbol": look.symbol, "size": 11, "color": look.colour},
        error_x={"type": "data", "array": halves, "color": look.colour, "thickness": 2, "width": 5},
        text=[_hover_mean(row) for row in summary],
        hoverinfo="text",
    )


def _hover_seed(row: Mapping[str, Any]) -> str:
    before, after = (fmt.percent(row[f"{state}_accuracy"], 2) for state in ("original", "changed"))
    lines = [
        f"<b>{_label_line(row)}</b>, seed {row['seed']}",
        f"{before} before, {after} after ({fmt.points(row['difference'], 2)} points)",
        f"{fmt.whole(row['kept'])} of D = {fmt.whole(row['prunable'])} weights",
        f"{fmt.whole(row['changed'])} places changed",
    ]
    return "<br>".join(lines)


def _hover_mean(row: Mapping[str, Any]) -> str:
    count = row["seeds"]
    lines = [f"<b>{_label_line(row)}</b>: {row['verdict']}"]
    lines.append(f"{fmt.points(row['difference'], 2)} points, {count} seed{'s' if count > 1 else ''}")
    if row["high"] is not None:
        lines.append(f"95% interval {fmt.points(row['low'], 2)} to {fmt.points(row['high'], 2)}")
    if row["note"]:
        lines.append(escape(row["note"]))
    return "<br>".join(lines)
