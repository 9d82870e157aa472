"""Reliability diagrams: how often a network is right where it is so sure (arXiv 1706.04599)."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.layout import MARGIN_BOTTOM, MARGIN_TOP, axis, leave_empty, start_figure
from lottery_pipeline.reporting.palette import DENSE_COLOUR
from lottery_pipeline.reporting.robustness_record import (
    Network,
    Record,
    Row,
    index_rows,
    list_bins,
    list_networks,
    value_of,
)
from lottery_pipeline.reporting.robustness_words import wrap_label

Bins = Sequence[Row]
NOTHING = "Confidence has not been measured."
COLUMNS = 3
PANEL, GAP = 190, 16  # pixels
HEAD = 0.62  # room for the name above 100%, in units of the axis
LINE = 14  # letters that fit into a panel on a phone
SMALLEST, LARGEST = 4, 12  # markers, by the share of images in a bin
FADED = "rgba(123,129,140,0.55)"


def draw_reliability(record: Record) -> go.Figure:
    """Draw a panel for each network: accuracy over confidence, by bins of confidence.

    Args:
        record: of the robustness evaluation.

    Returns:
        A figure whose panels have the diagonal, on which a calibrated network lies, the line of its dense
        parent, and a marker for each bin with images, larger for more of them; the expected calibration error
        stands in its corner. Without confidences, an empty figure that says so.
    """
    tables: dict[str, Bins] = {name: list_bins(record, name) for name in record.get("reliability") or {}}
    networks = [network for network in list_networks(record) if tables.get(network.method)]
    columns = min(COLUMNS, len(networks))
    lines = math.ceil(len(networks) / COLUMNS)
    inner = max(PANEL, lines * PANEL + (lines - 1) * GAP)
    figure = start_figure("Reliability", height=MARGIN_TOP + MARGIN_BOTTOM + inner)
    if not networks:
        return leave_empty(figure, NOTHING)
    errors = index_rows(record)
    figure.set_subplots(
        rows=lines,
        cols=columns,
        specs=[
            [{} if line * columns + place < len(networks) else None for place in range(columns)]
            for line in range(lines)
        ],
        horizontal_spacing=0.07,
        vertical_spacing=GAP / inner if lines > 1 else 0,
    )
    for rank, network in enumerate(networks):
        line, place = divmod(rank, columns)
        spot = {"row": line + 1, "col": place + 1}
        figure.add_trace(_diagonal(), **spot)
        if not network.is_dense and tables.get(network.reference):
            figure.add_trace(_parent_line(tables[network.reference]), **spot)
        figure.add_trace(_bins_trace(network, tables[network.method]), **spot)
        error = value_of(errors.get((network.method, "calibration", "as trained", "ece")))
        figure.add_annotation(_title(network, error), **spot)
        is_last = rank + columns >= len(networks)
        sure, right = ("Confidence" if is_last else "", "" if place else "Accuracy")
        figure.update_xaxes(_share_axis(sure, range=[-0.04, 1.04], showticklabels=is_last), **spot)
        figure.update_yaxes(_share_axis(right, range=[-0.04, 1 + HEAD], showticklabels=place == 0), **spot)
    figure.update_layout(showlegend=False, margin={"b": 60})
    return figure


def _share_axis(title: str, **options: Any) -> dict[str, Any]:
    ticks = {"tickvals": [0, 0.5, 1], "ticktext": ["0", "50", "100%"], "tickfont": {"size": 10}}
    name = {"text": title, "standoff": 6, "font": {"size": 12}}
    return {**axis(title, **ticks, **options), "title": name}


def _title(network: Network, error: float | None) -> dict[str, Any]:
    return {
        "text": f"{wrap_label(network.look.label, LINE)}<br>ECE {fmt.percent(error)}",
        "x": 0,
        "y": 1 + HEAD,
        "xanchor": "left",
        "yanchor": "top",
        "align": "left",
        "showarrow": False,
        "font": {"size": 11},
    }


def _diagonal() -> go.Scatter:
    line = {"color": DENSE_COLOUR, "width": 1, "dash": "dot"}
    return go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line=line, hoverinfo="skip")


def _parent_line(bins: Bins) -> go.Scatter:
    return go.Scatter(
        x=[_round(row["confidence"]) for row in bins],
        y=[_round(row["accuracy"]) for row in bins],
        mode="lines",
        line={"color": FADED, "width": 3},
        hoverinfo="skip",
    )


def _bins_trace(network: Network, bins: Bins) -> go.Scatter:
    total = sum(row["count"] for row in bins) or 1
    shares = [row["count"] / total for row in bins]
    return go.Scatter(
        x=[_round(row["confidence"]) for row in bins],
        y=[_round(row["accuracy"]) for row in bins],
        mode="lines+markers",
        name=escape(network.look.label),
        line={"color": network.look.colour, "width": 1.2},
        marker={
            "size": [round(SMALLEST + (LARGEST - SMALLEST) * math.sqrt(share), 1) for share in shares],
            "color": network.look.colour,
        },
        text=[
            f"<b>{escape(network.look.label)}</b><br>{fmt.percent(row['low'], 0)} to "
            f"{fmt.percent(row['high'], 0)} sure: {fmt.whole(row['count'])} images<br>"
            f"confidence {fmt.percent(row['confidence'])}, accuracy {fmt.percent(row['accuracy'])}"
            for row in bins
        ],
        hoverinfo="text",
    )


def _round(value: Any) -> float | None:
    return None if fmt.is_missing(value) else float(f"{value:.4g}")
