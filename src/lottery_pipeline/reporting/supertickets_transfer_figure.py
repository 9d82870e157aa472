"""The transfer matrix: SuperTickets of one task at another, and how far they are ahead of a control."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.layout import MARGIN_BOTTOM, MARGIN_TOP, axis, start_figure

Rows = Sequence[Mapping[str, Any]]
Cells = Mapping[tuple[str, str, str], Mapping[str, Any]]  # by source, target and arm
NOTHING = "No ticket has been moved."
ARM_LABELS = {
    "transferred": "moved ticket",
    "reinitialised": "new weights, same masks",
    "random_mask": "shuffled masks",
    "dense": "new weights, no masks",
    "direct": "found for the target",
    "supernet": "whole supernet",
}
# What the colour compares with: the first of these that was trained.
COMPARED = ("reinitialised", "random_mask", "dense", "direct")
COLOURS = ((0.0, "#C2703D"), (0.5, "#F4F4F2"), (1.0, "#2F8F6B"))
CELL_HEIGHT = 92  # pixels
LEAST_SPAN = 0.01  # a point: smaller differences stay pale


def draw_transfers(summary: Rows) -> go.Figure:
    """Draw a cell for each source (row) and target (column).

    Args:
        summary: as ``summarise_transfer`` makes it.

    Returns:
        A figure whose cells say how well the moved ticket does and how far it is ahead of a control, which
        is also the colour. On the diagonal stands the ticket that was found for the target. Without a
        summary, an empty figure that says so.
    """
    tasks = list(dict.fromkeys(str(line[end]) for line in summary for end in ("source", "target")))
    height = max(320, MARGIN_TOP + MARGIN_BOTTOM + CELL_HEIGHT * len(tasks))
    figure = start_figure("SuperTickets at other tasks", height=height)
    compared = next((arm for arm in COMPARED if any(line["arm"] == arm for line in summary)), None)
    cells = {(str(line["source"]), str(line["target"]), str(line["arm"])): line for line in summary}
    if not any(arm == "transferred" for _, _, arm in cells):
        figure.add_annotation(text=NOTHING, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
        return figure
    ahead = [
        [_ahead(cells.get((source, target, str(compared)))) or 0.0 for target in tasks] for source in tasks
    ]
    span = 100 * max([LEAST_SPAN, *(abs(value) for row in ahead for value in row)])
    figure.add_trace(
        go.Heatmap(
            z=[[float(f"{100 * value:.4g}") for value in row] for row in ahead],
            x=tasks,
            y=tasks,
            zmin=-span,
            zmax=span,
            colorscale=[list(stop) for stop in COLOURS],
            xgap=3,
            ygap=3,
            text=[
                [_print_cell(cells, source, target, str(compared)) for target in tasks] for source in tasks
            ],
            texttemplate="%{text}",
            hovertext=[[_hover(cells, source, target) for target in tasks] for source in tasks],
            hoverinfo="text",
            showscale=compared is not None,
            colorbar={
                "title": {"text": f"points ahead of<br>{ARM_LABELS.get(str(compared), '')}", "side": "right"},
                "thickness": 12,
                "outlinewidth": 0,
            },
        )
    )
    figure.update_xaxes(axis("Trained for", showgrid=False))
    figure.update_yaxes(axis("Found for", autorange="reversed", showgrid=False))
    return figure


def _ahead(control: Mapping[str, Any] | None) -> float | None:
    """Return how far the moved ticket is ahead of a control."""
    return None if control is None or control["difference"] is None else -control["difference"]


def _print_cell(cells: Cells, source: str, target: str, compared: str) -> str:
    if source == target:
        line = cells.get((source, target, "direct")) or cells.get((source, target, "supernet"))
        return "" if line is None else f"{_print_accuracy(line)}<br>{ARM_LABELS[line['arm']]}"
    moved = cells.get((source, target, "transferred"))
    if moved is None:
        return ""
    control = cells.get((source, target, compared))
    ahead = _ahead(control)
    if control is None or ahead is None:
        return f"<b>{_print_accuracy(moved)}</b>"
    interval = ""
    if control["difference_low"] is not None:
        low, high = -control["difference_high"], -control["difference_low"]
        interval = f"<br>({fmt.points(low)} to {fmt.points(high)})"
    return f"<b>{_print_accuracy(moved)}</b><br>{fmt.points(ahead)} points{interval}"


def _print_accuracy(line: Mapping[str, Any]) -> str:
    metric = line["metric"]
    return fmt.percent(line["accuracy"]) + ("" if metric == "accuracy" else f" {escape(metric)}")


def _hover(cells: Cells, source: str, target: str) -> str:
    texts = [f"<b>{escape(source)} → {escape(target)}</b>"]
    for (start, end, arm), line in cells.items():
        if (start, end) != (source, target):
            continue
        spread = "" if line["high"] is None else f" ± {fmt.percent(line['high'] - line['accuracy'])}"
        texts.append(
            f"{ARM_LABELS.get(arm, escape(arm))}: {_print_accuracy(line)}{spread}, "
            f"{fmt.density(line['density'])} of D"
        )
    return "<br>".join(texts)
