"""Layer by layer: where in the network the weights of a ticket are, and where its arithmetic is."""

import math
from collections.abc import Callable, Mapping
from html import escape
from typing import Any, NamedTuple

import plotly.graph_objects as go

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.layout import MARGIN_BOTTOM, MARGIN_TOP, axis, legend_note, start_figure
from lottery_pipeline.reporting.networks import name_others, split_by_network
from lottery_pipeline.reporting.palette import SHARES, WARNING_COLOUR, label_run

Records = Mapping[str, dict[str, Any] | None]
ROW_HEIGHT = 22
LEAST = 1e-2  # densities below it have the lightest colour
WHOLE = "<b>all layers</b>"


class Cell(NamedTuple):
    """A layer of a run: how dark it is, from 0 to 1, what it says, and what hovering adds."""

    shade: float
    text: str
    more: str


def draw_layer_densities(metrics: Records) -> go.Figure:
    """Draw the density of every prunable layer in a column of cells for each run, input at the top.

    Args:
        metrics: metrics by run with ``layers``, the rows of the density table.

    Returns:
        A figure with a heat map, whose last row is the whole network, and a cross in the cell of every dead
        layer (no weight left). A layer that was removed has no cell. Runs of another network have other
        layers; the legend says that they are not in it.
    """
    finals, others = _split(metrics, "layers")
    columns = {
        label: {_short(row): _density_cell(row) for row in record["layers"]} | {WHOLE: _density_cell(record)}
        for label, record in finals.items()
    }
    figure = _draw_cells("Density of every layer", columns, lambda name: name)
    dead = [
        (label, _short(row))
        for label, record in finals.items()
        for row in record["layers"]
        if not row["kept"]
    ]
    if dead:
        figure.add_scatter(
            x=[label for label, _ in dead],
            y=[name for _, name in dead],
            mode="markers",
            name="Dead layer: no weight is left",
            marker={"symbol": "x", "size": 11, "color": WARNING_COLOUR},
            hovertemplate="%{y}, %{x}: its output no longer depends on the image<extra></extra>",
        )
    return figure.add_traces([legend_note(text) for text in name_others(others)])


def draw_layer_macs(metrics: Records) -> go.Figure:
    """Draw what every run leaves of the multiply-accumulates of every layer, in theory, as cells.

    Args:
        metrics: metrics by run with ``layer_costs``, the table of ``price_ticket``.

    Returns:
        A figure with a heat map, input at the top; beside each layer stand the multiply-accumulates of the
        dense network, and the last row is the whole network. Runs of another network have other layers; the
        legend says that they are not in it.
    """
    finals, others = _split(metrics, "layer_costs")
    dense: dict[str, float] = {}
    columns: dict[str, dict[str, Cell]] = {}
    for label, record in finals.items():
        rows = record["layer_costs"]
        dense |= {_short(row): row["macs_dense"] for row in rows}
        whole = {key: sum(row[key] for row in rows) for key in ("macs_dense", "macs_theoretical")}
        columns[label] = {_short(row): _macs_cell(row) for row in rows} | {WHOLE: _macs_cell(whole)}
    dense |= {WHOLE: sum(dense.values())}
    figure = _draw_cells(
        "Multiply-accumulates of every layer", columns, lambda name: f"{name} · {fmt.quantity(dense[name])}"
    )
    return figure.add_traces([legend_note(text) for text in name_others(others)])


def _split(metrics: Records, table: str) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return the runs of the common network by label, and the others by name."""
    known = {run: record for run, record in metrics.items() if record is not None and record.get(table)}
    finals, others = split_by_network(known)
    return {escape(label_run(run, str(r["method"]))): r for run, r in finals.items()}, others


def _draw_cells(
    title: str, columns: Mapping[str, Mapping[str, Cell]], name_row: Callable[[str], str]
) -> go.Figure:
    names = list(dict.fromkeys(name for cells in columns.values() for name in cells if name != WHOLE))
    names += [WHOLE] * bool(names)
    figure = start_figure(title, height=MARGIN_TOP + MARGIN_BOTTOM + 20 + ROW_HEIGHT * max(4, len(names)))
    rows = [[cells.get(name) for cells in columns.values()] for name in names]
    if names:
        figure.add_heatmap(
            x=list(columns),
            y=[name_row(name) for name in names],
            z=[[None if cell is None else float(f"{cell.shade:.3g}") for cell in row] for row in rows],
            text=[["" if cell is None else cell.text for cell in row] for row in rows],
            texttemplate="%{text}",
            hovertext=[["" if cell is None else cell.more for cell in row] for row in rows],
            hovertemplate="%{y}, <b>%{x}</b>: %{text}<br>%{hovertext}<extra></extra>",
            colorscale=SHARES,
            zmin=0,
            zmax=1,
            xgap=2,
            ygap=1,
            showscale=False,
            hoverongaps=False,
        )
    figure.update_xaxes(axis("", type="category", side="top", showgrid=False, ticks="", dtick=1))
    figure.update_yaxes(axis("", type="category", showgrid=False, ticks="", autorange="reversed"))
    return figure


def _density_cell(row: Mapping[str, Any]) -> Cell:
    density = float(row["density"])
    shade = 1 - math.log10(max(density, LEAST)) / math.log10(LEAST)
    shape = "×".join(str(length) for length in row.get("shape", ()))
    kept = f"{fmt.whole(row['kept'])} of {fmt.whole(row['prunable'])} weights"
    return Cell(shade, fmt.density(density), f"{kept} ({shape})" if shape else kept)


def _macs_cell(row: Mapping[str, Any]) -> Cell:
    dense, left = row["macs_dense"], row["macs_theoretical"]
    share = left / dense if dense else 0.0
    return Cell(share, fmt.percent(share, 0), f"{fmt.quantity(left)} of {fmt.quantity(dense)} MACs")


def _short(row: Mapping[str, Any]) -> str:
    return escape(str(row["layer"]).removeprefix("network.").removesuffix(".weight"))
