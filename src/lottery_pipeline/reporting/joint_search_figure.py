"""The joint search of a SuperTicket, epoch by epoch: what it left, and how accurate that was."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.blocks import ATTENTION_COLOUR, TOKENS, list_groups, list_searchable
from lottery_pipeline.reporting.layout import axis, column, log_axis, start_figure
from lottery_pipeline.reporting.metric import ACCURACY, put_metric
from lottery_pipeline.reporting.palette import DENSE_COLOUR, Look, look_of, ticket_marker

Rows = Sequence[Mapping[str, Any]]
SEARCH, PRUNING = "#0072B2", "#D55E00"
# What happened at the end of an epoch. Sizes differ, and the largest is drawn first: the measured accuracies
# of two epochs are often equal, and no marker may hide another.
EVENTS = {
    "search, shrink, prune": (Look("units removed, weights masked", PRUNING, "square"), 14),
    "search, prune": (Look("weights masked, no unit to remove", PRUNING, "square-open"), 13),
    "prune": (Look("weights masked", PRUNING, "triangle-down"), 12),
    "search, shrink": (Look("units removed", SEARCH, "diamond"), 11),
    "search": (Look("search, no unit to remove", SEARCH, "diamond-open"), 10),
    "": (Look("no event", DENSE_COLOUR, "circle"), 5),
}
UNKNOWN = ("hexagram-open", 13)


def draw_search_path(
    trace: Rows, metrics: Mapping[str, Any] | None = None, metric: str = ACCURACY
) -> go.Figure:
    """Draw validation accuracy over multiply-accumulates, from epoch to epoch of the joint search.

    Args:
        trace: a row per epoch. The large markers stand at the exact multiply-accumulates: those left if every
            masked weight could be skipped. A bar leads from each to the small ring at those of the network as
            it is. One line joins the epochs that leave weights masked, another one the others.
        metrics: of the retrained ticket, which gets a marker of its own; None leaves it out.
        metric: what the accuracies are.

    Returns:
        A figure with a trace for each kind of event. Without validation images the accuracies are those on
        the training images, and the axis says so.
    """
    figure = start_figure("The joint search", height=520)
    part = "validation" if any(row["validation_accuracy"] is not None for row in trace) else "train"
    heights, exact, dense = (column(trace, key) for key in (f"{part}_accuracy", "macs_theoretical", "macs"))
    gaps = [
        (a, b, y) for a, b, y in zip(exact, dense, heights, strict=True) if None not in (a, b, y) and a != b
    ]
    figure.add_scatter(
        x=[value for start, end, _ in gaps for value in (start, end, None)],
        y=[value for _, _, height in gaps for value in (height, height, None)],
        mode="lines+markers",
        name="up to the network as it is",
        line={"color": DENSE_COLOUR, "width": 1, "dash": "dot"},
        marker={"symbol": "circle-open", "size": [0, 7, 0] * len(gaps), "color": DENSE_COLOUR},
        hoverinfo="skip",
    )
    for masked, colour in ((True, PRUNING), (False, SEARCH)):
        chosen = [
            place for place, row in enumerate(trace) if (row["macs_theoretical"] < row["macs"]) == masked
        ]
        figure.add_scatter(
            x=[exact[place] for place in chosen],
            y=[heights[place] for place in chosen],
            mode="lines",
            showlegend=False,
            line={"color": colour, "width": 1.2},
            hoverinfo="skip",
        )
    text = [_hover(row, metric) for row in trace]
    figure.add_traces(_event_traces(trace, exact, heights, text))
    if metrics is not None and part == "validation" and metrics.get("validation_accuracy") is not None:
        figure.add_trace(_retrained_trace(metrics, metric))
    shown = [*exact, *(value for trace in figure.data for value in trace.x or ())]
    figure.update_xaxes(log_axis("Multiply-accumulates for one image", shown, form="~s"))
    title = "Validation accuracy" if part == "validation" else "Training accuracy"
    figure.update_yaxes(axis(put_metric(title, metric), tickformat=".1~%", nticks=7))
    return figure


def draw_search_course(trace: Rows, blocks: Rows, metric: str = ACCURACY) -> go.Figure:
    """Draw what is left of the supernet after each epoch: weights above, units below.

    Args:
        trace: a row per epoch.
        blocks: as ``tabulate_blocks`` makes them; they say how many units the supernet has.
        metric: what the accuracies are.

    Returns:
        A figure with two panels that share the epochs.
    """
    figure = start_figure("What the search left", height=560)
    figure.set_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.6, 0.4], vertical_spacing=0.07)
    epochs, density = column(trace, "epoch"), column(trace, "density")
    line = {"color": DENSE_COLOUR, "width": 1.4}
    figure.add_scatter(
        x=epochs, y=density, mode="lines", showlegend=False, line=line, hoverinfo="skip", row=1, col=1
    )
    text = [_hover(row, metric) for row in trace]
    for events in _event_traces(trace, epochs, density, text):
        figure.add_trace(events, row=1, col=1)
    groups = [group for row in list_searchable(blocks) for group in list_groups(row).items()]
    for name, key, colour, dash in (
        ("hidden channels", "units", SEARCH, "solid"),
        (TOKENS, "tokens", ATTENTION_COLOUR, "dash"),
    ):
        full = sum(width for kind, (_, width) in groups if (kind == TOKENS) == (key == "tokens"))
        if full:
            figure.add_scatter(
                x=epochs,
                y=[float(f"{row[key] / full:.5g}") for row in trace],
                mode="lines",
                name=name,
                line={"color": colour, "width": 2.4, "dash": dash},
                text=[f"epoch {row['epoch']}: {row[key]:,} of {full:,} {name}" for row in trace],
                hoverinfo="text",
                row=2,
                col=1,
            )
    figure.update_xaxes(axis(""))
    figure.update_xaxes(title={"text": "Epoch of the search", "standoff": 10}, row=2)
    figure.update_yaxes(axis("Weights left", tickformat=".0%", rangemode="tozero", nticks=6), row=1)
    figure.update_yaxes(axis("Units left", tickformat=".2~%", nticks=5), row=2)
    return figure


def _event_traces(
    trace: Rows, x: Sequence[float | None], y: Sequence[float | None], text: Sequence[str]
) -> list[go.Scatter]:
    """Draw the epochs of each kind of event, those with the largest markers first."""
    traces = []
    kinds = {str(row["event"]) for row in trace}
    for kind in (*(kind for kind in EVENTS if kind in kinds), *sorted(kinds - EVENTS.keys())):
        look, size = EVENTS.get(kind, (Look(kind, SEARCH, UNKNOWN[0]), UNKNOWN[1]))
        chosen = [place for place, row in enumerate(trace) if row["event"] == kind]
        traces.append(
            go.Scatter(
                x=[x[place] for place in chosen],
                y=[y[place] for place in chosen],
                mode="markers",
                name=escape(look.label),
                marker={
                    "symbol": look.symbol,
                    "size": size,
                    "color": look.colour,
                    "line": {"width": 1.6 if look.symbol.endswith("-open") else 0, "color": look.colour},
                },
                text=[text[place] for place in chosen],
                hoverinfo="text",
            )
        )
    return traces


def _retrained_trace(metrics: Mapping[str, Any], metric: str) -> go.Scatter:
    look = look_of(str(metrics["method"]))
    lines = [
        "<b>The ticket, retrained</b>",
        f"validation accuracy {fmt.percent(metrics['validation_accuracy'], 2)}",
        f"{fmt.quantity(metrics['macs_theoretical'])} MACs in theory",
    ]
    return go.Scatter(
        x=column([metrics], "macs_theoretical"),
        y=column([metrics], "validation_accuracy"),
        mode="markers",
        name="the ticket, retrained",
        marker=ticket_marker(look),
        text=[put_metric("<br>".join(lines), metric)],
        hoverinfo="text",
    )


def _hover(row: Mapping[str, Any], metric: str) -> str:
    macs, exact = fmt.quantity(row["macs"]), fmt.quantity(row["macs_theoretical"])
    lines = [
        f"<b>Epoch {row['epoch']}</b>: {escape(str(row['event'])) or 'no event'}",
        f"validation accuracy {fmt.percent(row['validation_accuracy'], 2)}",
        f"training accuracy {fmt.percent(row['train_accuracy'], 2)}",
        f"{exact} of {macs} MACs if masked weights are skipped",
        f"density {fmt.density(row['density'])}: {fmt.whole(row['kept'])} weights",
        f"{row['units']:,} hidden channels, {row['tokens']:,} tokens",
    ]
    if row["average_accuracy"] is not None:
        average = f"moving average: validation accuracy {fmt.percent(row['average_accuracy'], 2)}"
        lines.insert(2, average)
    return put_metric("<br>".join(lines), metric)
