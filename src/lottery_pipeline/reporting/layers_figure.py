"""The density of every layer: where in the network the weights of a ticket are."""

from collections.abc import Mapping
from html import escape
from typing import Any

import plotly.graph_objects as go

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.layout import (
    MARGIN_BOTTOM,
    MARGIN_TOP,
    axis,
    density_axis,
    legend_note,
    reference_line,
    start_figure,
)
from lottery_pipeline.reporting.networks import name_others, split_by_network
from lottery_pipeline.reporting.palette import WARNING_COLOUR, label_run, look_of

Records = Mapping[str, dict[str, Any] | None]


def draw_layer_densities(metrics: Records) -> go.Figure:
    """Draw the density of every prunable layer, input at the top, on a logarithmic axis.

    Args:
        metrics: metrics by run with ``layers``, the rows of the density table.

    Returns:
        A figure with a line per run, a line for every density of a whole network, and a cross on the left
        edge for every dead layer (no weight left). Runs of another network have other layers; the legend says
        that they are not in it.
    """
    known = {run: record for run, record in metrics.items() if record is not None and record.get("layers")}
    finals, others = split_by_network(known)
    names = list(dict.fromkeys(_short_layer(row) for record in finals.values() for row in record["layers"]))
    figure = start_figure("Density of every layer", height=MARGIN_TOP + MARGIN_BOTTOM + 60 + 24 * len(names))
    for density in sorted({float(record["density"]) for record in finals.values()}, reverse=True):
        label = f"Whole network, {fmt.density(density)}"
        figure.add_trace(reference_line([density] * len(names), names, label, dash="dot"))
    for run, record in finals.items():
        figure.add_trace(_layer_trace(run, record, width=2 if len(finals) <= 4 else 1))
    alive = [float(row["density"]) for record in finals.values() for row in record["layers"] if row["kept"]]
    least = min(alive, default=0.1)
    dead = _dead_trace(finals, edge=least / 2)
    if dead.x:
        figure.add_trace(dead)
    figure.add_traces([legend_note(text) for text in name_others(others)])
    span = [least / 2 if dead.x else least]
    figure.update_xaxes(density_axis("Remaining weights in the layer", span, decreasing=False))
    order = {"categoryorder": "array", "categoryarray": names, "autorange": "reversed"}
    figure.update_yaxes(axis("", type="category", **order))
    return figure


def _short_layer(row: Mapping[str, Any]) -> str:
    return escape(str(row["layer"]).removeprefix("network.").removesuffix(".weight"))


def _layer_hover(run: str, record: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    shape = "×".join(str(length) for length in row["shape"])
    return (
        f"<b>{escape(label_run(run, str(record['method'])))}</b>, {_short_layer(row)} ({shape})<br>"
        f"{fmt.density(row['density'])}: {fmt.whole(row['kept'])} of {fmt.whole(row['prunable'])}"
    )


def _layer_trace(run: str, record: dict[str, Any], width: float) -> go.Scatter:
    look = look_of(str(record["method"]))
    return go.Scatter(
        x=[row["density"] if row["kept"] else None for row in record["layers"]],
        y=[_short_layer(row) for row in record["layers"]],
        mode="lines+markers",
        name=label_run(run, str(record["method"])),
        line={"color": look.colour, "width": width},
        marker={"symbol": look.symbol, "size": 8, "color": look.colour},
        text=[_layer_hover(run, record, row) for row in record["layers"]],
        hoverinfo="text",
    )


def _dead_trace(finals: Mapping[str, dict[str, Any]], *, edge: float) -> go.Scatter:
    dead = [
        (run, record, row) for run, record in finals.items() for row in record["layers"] if not row["kept"]
    ]
    return go.Scatter(
        x=[edge] * len(dead),
        y=[_short_layer(row) for _, _, row in dead],
        mode="markers",
        name="Dead layer: no weight is left",
        marker={"symbol": "x", "size": 11, "color": WARNING_COLOUR},
        text=[
            f"{_layer_hover(run, record, row)}<br><b>Its output no longer depends on the image</b>"
            for run, record, row in dead
        ],
        hoverinfo="text",
    )
