"""Robust accuracy against eps: what is left of the accuracy when every image may be changed so far."""

from collections.abc import Mapping
from html import escape

import plotly.graph_objects as go

from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.layout import axis, leave_empty, start_figure
from lottery_pipeline.reporting.palette import DENSE_COLOUR
from lottery_pipeline.reporting.robustness_record import (
    CONFIDENCE,
    Key,
    Network,
    Record,
    Row,
    index_rows,
    list_eps,
    list_networks,
    name_norm,
    value_of,
)
from lottery_pipeline.reporting.robustness_words import describe_interval, print_median

NOTHING = "No image has been attacked."
STEP, SPREAD = 0.06, 0.6  # how far networks stand apart at one eps, and all of them at most
TITLES = {"Linf": "eps in 1/255, Linf (0: clean images)", "L2": "eps, L2 (0: clean images)"}


def draw_eps_curves(record: Record) -> go.Figure:
    """Draw robust accuracy over eps, a line for each network, with the intervals of the images.

    eps usually doubles from step to step, so the steps have equal widths; clean images stand at 0. At every
    step the networks stand beside each other, so that their intervals can be told apart.

    Args:
        record: of the robustness evaluation.

    Returns:
        A figure with a trace for each network that was attacked, and a dotted line at chance if the number
        of classes is known. Without an attack, an empty figure that says so.
    """
    figure = start_figure("Robust accuracy against eps", height=540)
    eps, rows = list_eps(record), index_rows(record)
    if not eps:
        return leave_empty(figure, NOTHING)
    norm = name_norm(record)
    settings = {norm: 0.0, **eps}
    confidence = record.get("confidence", CONFIDENCE)
    if record.get("classes"):
        figure.add_trace(_chance_trace(record["classes"], len(settings)))
    networks = list_networks(record)
    step = min(STEP, SPREAD / max(1, len(networks)))
    for rank, network in enumerate(networks):
        beside = (rank - (len(networks) - 1) / 2) * step
        figure.add_trace(_curve(network, settings, rows, beside, confidence))
    ticks = [_print_tick(value, norm) for value in settings.values()]
    ends = [-0.5, len(settings) - 0.5]
    figure.update_xaxes(
        axis(
            TITLES[norm],
            tickvals=list(range(len(ticks))),
            ticktext=ticks,
            tickangle=0,
            range=ends,
            showgrid=False,
        )
    )
    figure.update_yaxes(
        axis("Robust accuracy", range=[-2, 102], tickvals=[0, 20, 40, 60, 80, 100], ticksuffix="%")
    )
    return figure


def _print_tick(eps: float, norm: str) -> str:
    return write_number(255 * eps if norm == "Linf" else eps, 3)


def _find_row(rows: Mapping[Key, Row], method: str, setting: str, eps: float) -> Row | None:
    metric = "robust_accuracy" if eps else "clean_accuracy"
    return rows.get((method, "adversarial", setting, metric))


def _curve(
    network: Network,
    settings: Mapping[str, float],
    rows: Mapping[Key, Row],
    beside: float,
    confidence: float,
) -> go.Scatter:
    found = [_find_row(rows, network.method, *setting) for setting in settings.items()]
    values = [value_of(row) for row in found]
    look, thick = network.look, network.is_dense
    return go.Scatter(
        x=[float(f"{place + beside:.4g}") for place in range(len(settings))],
        y=[None if value is None else _percent(value) for value in values],
        mode="lines+markers",
        name=escape(look.label),
        line={"color": look.colour, "width": 3 if thick else 1.6},
        marker={"symbol": look.symbol, "size": 9 if thick else 7, "color": look.colour},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [_reach(row, "high") for row in found],
            "arrayminus": [_reach(row, "low") for row in found],
            "color": look.colour,
            "thickness": 1,
            "width": 0,
        },
        text=[_hover(network, *setting, rows, confidence) for setting in settings.items()],
        hoverinfo="text",
    )


def _reach(row: Row | None, bound: str) -> float | None:
    value, end = value_of(row), value_of(row, bound)
    return None if value is None or end is None else _percent(abs(end - value))


def _chance_trace(classes: int, settings: int) -> go.Scatter:
    line = {"color": DENSE_COLOUR, "width": 1.2, "dash": "dot"}
    return go.Scatter(
        x=[-0.5, settings - 0.5],
        y=[_percent(1 / classes)] * 2,
        mode="lines",
        name=f"Chance, {fmt.percent(1 / classes)}",
        line=line,
        hoverinfo="name",
    )


def _percent(fraction: float) -> float:
    return float(f"{100 * fraction:.5g}")


def _hover(network: Network, setting: str, eps: float, rows: Mapping[Key, Row], confidence: float) -> str:
    row = _find_row(rows, network.method, setting, eps)
    where = escape(setting) if eps else "clean images"
    lines = [f"<b>{escape(network.look.label)}</b>, {where}", f"{fmt.percent(value_of(row))} are right"]
    lines += describe_interval(row, confidence)
    lines.append(f"median least eps {print_median(rows, network.method, setting.split(' ')[0])}")
    return "<br>".join(lines)
