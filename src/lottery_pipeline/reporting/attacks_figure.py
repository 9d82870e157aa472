"""Attacks on a signed ticket: the evidence that is left, against the accuracy that it cost to remove it."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.layout import MARGIN_BOTTOM, MARGIN_TOP, axis, reference_line, start_figure
from lottery_pipeline.reporting.palette import DENSE_COLOUR, WARNING_COLOUR, fade, look_of_attack

Rows = Sequence[Mapping[str, Any]]
NOTHING = "No attack has been run."
TICKS = (-90, -50, -20, -10, -5, -1, 0, 1, 5, 10, 20, 50, 90)  # percentage points
QR_SYMBOLS = {True: "circle", False: "x-thin"}
CURVES, QR_PANEL, GAP = 330, 110, 34  # pixels


def draw_attacks(rows: Rows) -> go.Figure:
    """Draw bits of evidence over the loss of accuracy, and the published QR signature below.

    Args:
        rows: one for each try, as the attacks give them; those of one attack and seed follow each other from
            weak to strong. A try whose accuracy is not known (a transfer to other images, an attack that is
            impossible on this network) has no place on the axis and is left out.

    Returns:
        A figure with a curve for each attack, a line at the bits that are needed, and a ring around every try
        that broke a promise; below it, if a QR code could be embedded, the share of its modules that each
        attack has left, on the same axis. Without a row, an empty figure that says so.
    """
    drawn = [row for row in rows if row["accuracy_drop"] is not None]
    compared = [row for row in drawn if row["qr_decoded"] is not None]
    inner = CURVES + (GAP + QR_PANEL if compared else 0)
    figure = start_figure("Attacks on the signed ticket", height=MARGIN_TOP + MARGIN_BOTTOM + inner)
    if not drawn:
        figure.add_annotation(text=NOTHING, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
        return figure
    places = [_place(row) for row in drawn]
    ends = [min([-0.4, *places]) - 0.2, max([1.0, *places]) + 0.3]
    if compared:
        panels = [(inner - QR_PANEL) / inner, QR_PANEL / inner]
        figure.set_subplots(
            rows=2, cols=1, shared_xaxes=True, row_heights=panels, vertical_spacing=GAP / inner
        )
    for bits in sorted({row["alpha_bits"] for row in drawn}):
        figure.add_trace(reference_line(ends, [bits] * 2, f"{bits:.0f} bits are needed"))
    for attack in dict.fromkeys(str(row["attack"]) for row in drawn):
        own = [row for row in drawn if row["attack"] == attack]
        figure.add_trace(_curve(own))
        if qr := [row for row in own if row["qr_decoded"] is not None]:
            figure.add_trace(_qr_trace(qr), row=2, col=1)
    if broken := [row for row in drawn if row["held"] is False]:
        figure.add_trace(_ring_trace(broken))
    figure.update_xaxes(_loss_axis("", ends))
    most = max(max(row["bits"], row["alpha_bits"]) for row in drawn)
    figure.update_yaxes(axis("Bits of evidence", range=[-0.03 * most, 1.06 * most], nticks=7))
    if compared:
        figure.add_traces([_qr_legend(decoded) for decoded in (True, False)])
        figure.update_yaxes(
            axis("QR modules", range=[-0.12, 1.12], tickvals=[0, 0.5, 1], tickformat=".0%"), row=2
        )
    title = {"text": "Accuracy lost, points (√ scale)", "standoff": 10}
    # A phone has a row for each attack: with plotly's gap between groups the last would not fit.
    figure.update_layout(legend={"tracegroupgap": 0})
    figure.update_xaxes(title=title, row=2 if compared else None)
    return figure


def _place(row: Mapping[str, Any]) -> float:
    """Return the place on the axis: the signed square root, for most attacks cost little and some a lot."""
    points = 100 * row["accuracy_drop"]
    return float(f"{math.copysign(math.sqrt(abs(points)), points):.5g}")


def _loss_axis(title: str, ends: Sequence[float]) -> dict[str, Any]:
    ticks = {math.copysign(math.sqrt(abs(points)), points): points for points in TICKS}
    shown = {place: points for place, points in ticks.items() if ends[0] <= place <= ends[1]}
    texts = [str(points).replace("-", fmt.MINUS) for points in shown.values()]
    return axis(title, range=list(ends), tickmode="array", tickvals=list(shown), ticktext=texts)


def _curve(rows: Rows) -> go.Scatter:
    """Draw the tries of one attack; those of one seed are joined in their order."""
    look = look_of_attack(str(rows[0]["attack"]), str(rows[0]["name"]))
    x: list[float | None] = []
    y: list[float | None] = []
    text = []
    for seed in dict.fromkeys(row["seed"] for row in rows):
        own = [row for row in rows if row["seed"] == seed]
        gap = [None] if x else []
        x += [*gap, *(_place(row) for row in own)]
        y += [*gap, *(float(f"{row['bits']:.5g}") for row in own)]
        text += [*("" for _ in gap), *(_hover(row) for row in own)]
    return go.Scatter(
        x=x,
        y=y,
        mode="lines+markers",
        name=escape(look.label),
        legendgroup=escape(look.label),
        line={"color": fade(look.colour), "width": 1.6},
        marker={"symbol": look.symbol, "size": 7, "color": look.colour},
        text=text,
        hoverinfo="text",
    )


def _qr_trace(rows: Rows) -> go.Scatter:
    look = look_of_attack(str(rows[0]["attack"]), str(rows[0]["name"]))
    return go.Scatter(
        x=[_place(row) for row in rows],
        y=[_share_of_modules(row) for row in rows],
        mode="markers",
        name=escape(look.label),
        legendgroup=escape(look.label),
        showlegend=False,
        marker={
            "symbol": [QR_SYMBOLS[row["qr_decoded"]] for row in rows],
            "size": 8,
            "color": look.colour,
            "line": {"width": 2, "color": look.colour},
        },
        text=[_hover_qr(row) for row in rows],
        hoverinfo="text",
    )


def _share_of_modules(row: Mapping[str, Any]) -> float:
    """Return the share of the QR code's modules that are as written; 0 if its place in the layer is gone."""
    return float(f"{row['qr_matched'] / row['qr_read']:.4g}") if row["qr_read"] else 0.0


def _ring_trace(rows: Rows) -> go.Scatter:
    return go.Scatter(
        x=[_place(row) for row in rows],
        y=[float(f"{row['bits']:.5g}") for row in rows],
        mode="markers",
        name="Promise broken",
        marker={
            "symbol": "circle-open",
            "size": 18,
            "color": WARNING_COLOUR,
            "line": {"width": 2.5, "color": WARNING_COLOUR},
        },
        hoverinfo="skip",
    )


def _qr_legend(decoded: bool) -> go.Scatter:
    """Add a row to the legend; its marker is nowhere in the figure."""
    return go.Scatter(
        x=[None],
        y=[None],
        mode="markers",
        name="QR code decoded" if decoded else "QR code lost",
        marker={
            "symbol": QR_SYMBOLS[decoded],
            "size": 8,
            "color": DENSE_COLOUR,
            "line": {"width": 2, "color": DENSE_COLOUR},
        },
        hoverinfo="skip",
    )


def _hover(row: Mapping[str, Any]) -> str:
    said = "decoded" if row["decoded"] else "not decoded"
    lines = [
        _title(row),
        f"accuracy {fmt.percent(row['accuracy'], 2)} ({fmt.points(-row['accuracy_drop'], 2)} points)",
        f"{row['bits']:.0f} bits of evidence, {row['alpha_bits']:.0f} are needed; payload {said}",
    ]
    if row["counted"]:
        lines.append(f"{row['matches']} of {row['counted']} groups match")
    if row["trigger_counted"]:
        lines.append(f"{row['trigger_hits']} of {row['trigger_counted']} triggers")
    if row["held"] is not None:
        lines.append("promise kept" if row["held"] else "<b>promise broken</b>")
    return "<br>".join(lines)


def _hover_qr(row: Mapping[str, Any]) -> str:
    state = "decoded" if row["qr_decoded"] else "lost"
    lines = [
        _title(row),
        f"QR code {state}, {fmt.percent(_share_of_modules(row), 0)} of its modules as written",
        f"accuracy {fmt.percent(row['qr_accuracy'], 2)}",
    ]
    return "<br>".join(lines)


def _title(row: Mapping[str, Any]) -> str:
    label = look_of_attack(str(row["attack"]), str(row["name"])).label
    parts = [f"<b>{escape(label)}</b>", escape(str(row["parameters"])), f"seed {row['seed']}"]
    return ", ".join(part for part in parts if part)
