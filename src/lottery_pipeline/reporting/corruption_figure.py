"""Accuracy on corrupted images, by corruption."""

from collections.abc import Mapping, Sequence
from html import escape

import plotly.graph_objects as go

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.layout import MARGIN_BOTTOM, MARGIN_TOP, axis, leave_empty, start_figure
from lottery_pipeline.reporting.robustness_record import (
    CONFIDENCE,
    Key,
    Network,
    Record,
    Row,
    index_rows,
    list_corruptions,
    list_networks,
    list_new_sets,
    value_of,
)
from lottery_pipeline.reporting.robustness_words import describe_interval, label_setting

NOTHING = "No image has been corrupted."
LINE_HEIGHT = 34  # pixels for each corruption
SPREAD, STEP = 0.7, 0.14  # how far the networks of one line stand apart: all of them at most, two at most
ENDS = {"clean": "no corruption", "mean": "mean of all"}


def draw_corruptions(record: Record) -> go.Figure:
    """Draw a line for each corruption, with the accuracy of each network (mean over severities) on it.

    Args:
        record: of the robustness evaluation.

    Returns:
        A figure with a trace of markers for each network; those of a dense network are joined, so that the
        distance to it can be seen. Clean images stand at the top, then other test sets, the corruptions, and
        their mean. Without a corruption, an empty figure that says so.
    """
    rows, networks = index_rows(record), list_networks(record)
    names = ["clean", *list_new_sets(record), *list_corruptions(record), "mean"]
    shown = [
        name
        for name in names
        if any(value_of(_find_row(rows, network, name)) is not None for network in networks)
    ]
    height = MARGIN_TOP + MARGIN_BOTTOM + LINE_HEIGHT * max(6, len(shown))
    kind = record.get("corruptions")
    figure = start_figure(f"Accuracy under corruptions{f' ({kind})' if kind else ''}", height=height)
    if not shown:
        return leave_empty(figure, NOTHING)
    confidence = record.get("confidence", CONFIDENCE)
    step = min(STEP, SPREAD / max(1, len(networks) - 1))
    for rank, network in enumerate(networks):
        beside = 0.0 if network.is_dense else (rank - (len(networks) - 1) / 2) * step
        figure.add_trace(_trace(network, shown, rows, beside, confidence))
    figure.update_xaxes(axis("Accuracy", ticksuffix="%", nticks=8))
    figure.update_yaxes(
        axis(
            "",
            tickvals=list(range(len(shown))),
            ticktext=[escape(ENDS.get(name, label_setting(name))) for name in shown],
            range=[len(shown) - 0.5, -0.5],
        )
    )
    return figure


def _find_row(rows: Mapping[Key, Row], network: Network, name: str) -> Row | None:
    return rows.get((network.method, "corruption", name, "accuracy"))


def _trace(
    network: Network, names: Sequence[str], rows: Mapping[Key, Row], beside: float, confidence: float
) -> go.Scatter:
    look = network.look
    values = [value_of(_find_row(rows, network, name)) for name in names]
    return go.Scatter(
        x=[None if value is None else float(f"{100 * value:.5g}") for value in values],
        y=[float(f"{place + beside:.4g}") for place in range(len(names))],
        mode="lines+markers" if network.is_dense else "markers",
        name=escape(look.label),
        line={"color": look.colour, "width": 2},
        marker={"symbol": look.symbol, "size": 9, "color": look.colour},
        text=[_hover(network, name, rows, confidence) for name in names],
        hoverinfo="text",
    )


def _hover(network: Network, name: str, rows: Mapping[Key, Row], confidence: float) -> str:
    row = _find_row(rows, network, name)
    title = f"<b>{escape(network.look.label)}</b>, {escape(ENDS.get(name, label_setting(name)))}"
    lines = [f"{title}: {fmt.percent(value_of(row))}", *describe_interval(row, confidence)]
    by_severity = [
        value
        for severity in range(1, 6)
        if (value := value_of(rows.get((network.method, "corruption", f"{name} {severity}", "accuracy"))))
        is not None
    ]
    if by_severity:
        lines.append(f"from mild to severe: {', '.join(fmt.percent(value) for value in by_severity)}")
    error = value_of(rows.get((network.method, "corruption", name, "corruption_error")))
    if error is not None and not network.is_dense:
        lines.append(f"{fmt.percent(error, 0)} of the errors of its dense parent")
    return "<br>".join(lines)
