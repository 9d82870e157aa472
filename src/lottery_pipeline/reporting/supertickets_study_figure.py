"""The arms of the SuperTickets study: accuracy as found and retrained, with intervals over seeds."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from lottery_pipeline.options.supertickets_study import ARMS, REFERENCE
from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.layout import MARGIN_BOTTOM, MARGIN_TOP, axis, column, start_figure
from lottery_pipeline.reporting.metric import name_metric, put_metric
from lottery_pipeline.reporting.palette import LOOKS

Rows = Sequence[Mapping[str, Any]]
NOTHING = "No arm has been trained."
LINE_HEIGHT = 38  # pixels for each arm
# Colour, marker, and where it stands beside the middle of its line, so that the two do not hide each other.
STATES = {
    "found": ("#0072B2", "circle", -0.16),
    "retrained": (LOOKS["supertickets"].colour, "star", 0.16),
}
STATE_LABELS = {"found": "as the search leaves it", "retrained": "trained again, masks on"}


def draw_arms(summary: Rows, rows: Rows) -> go.Figure:
    """Draw a line for each arm: its mean accuracies, their intervals, and every seed.

    Args:
        summary: as ``summarise_arms`` makes it; from the top in this order.
        rows: as ``study_arms`` makes them; one small upright stroke each.

    Returns:
        A figure with traces for what was found and what was retrained, each with a dotted line at the mean of
        two-in-one. Without a summary, an empty one that says so.
    """
    arms = list(dict.fromkeys(str(line["arm"]) for line in summary))
    height = max(320, MARGIN_TOP + MARGIN_BOTTOM + LINE_HEIGHT * len(arms))
    figure = start_figure("Parts of the joint search", height=height)
    if not arms:
        figure.add_annotation(text=NOTHING, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
        return figure
    places = {arm: place for place, arm in enumerate(arms)}
    for state in STATES:
        own = [line for line in summary if line["state"] == state]
        if own:
            figure.add_traces(_reference_trace(own, state, len(arms)))
            figure.add_trace(_seed_trace(rows, state, places))
            figure.add_trace(_mean_trace(own, state, places))
    metric = name_metric(summary)
    figure.update_xaxes(axis(put_metric("Test accuracy", metric), ticksuffix="%"))
    figure.update_yaxes(
        axis(
            "",
            tickvals=list(places.values()),
            ticktext=[escape(label_arm(arm)) for arm in arms],
            range=[len(arms) - 0.5, -0.5],
            showgrid=False,
        )
    )
    return figure


def label_arm(name: str) -> str:
    """Name an arm for people; one that this version does not know keeps its name."""
    return ARMS[name].label if name in ARMS else name.replace("_", " ")


def _reference_trace(summary: Rows, state: str, lines: int) -> list[go.Scatter]:
    """Draw a dotted line at two-in-one, if it is there."""
    means = column([line for line in summary if line["arm"] == REFERENCE], "accuracy")
    return [
        go.Scatter(
            x=[_percent(mean)] * 2,
            y=[-0.5, lines - 0.5],
            mode="lines",
            name=f"{ARMS[REFERENCE].label}, {state}",
            legendgroup=state,
            showlegend=False,
            line={"color": STATES[state][0], "width": 1.4, "dash": "dot"},
            hoverinfo="name",
        )
        for mean in means
        if mean is not None
    ]


def _seed_trace(rows: Rows, state: str, places: Mapping[str, int]) -> go.Scatter:
    colour, _, beside = STATES[state]
    own = [row for row in rows if row[f"{state}_accuracy"] is not None and row["arm"] in places]
    return go.Scatter(
        x=[_percent(row[f"{state}_accuracy"]) for row in own],
        y=[places[row["arm"]] + beside for row in own],
        mode="markers",
        name="one seed",
        legendgroup=state,
        showlegend=False,
        # Higher than the marker of the mean, which may lie on it.
        marker={"symbol": "line-ns", "size": 15, "line": {"width": 1.5, "color": colour}},
        text=[
            f"{escape(label_arm(row['arm']))}, seed {row['seed']}, {state}: "
            f"{fmt.percent(row[f'{state}_accuracy'], 2)}"
            for row in own
        ],
        hoverinfo="text",
    )


def _mean_trace(summary: Rows, state: str, places: Mapping[str, int]) -> go.Scatter:
    colour, symbol, beside = STATES[state]
    halves = [None if line["high"] is None else _percent(line["high"] - line["accuracy"]) for line in summary]
    return go.Scatter(
        x=[_percent(line["accuracy"]) for line in summary],
        y=[places[line["arm"]] + beside for line in summary],
        mode="markers",
        name=STATE_LABELS[state],
        legendgroup=state,
        marker={"symbol": symbol, "size": 11, "color": colour},
        error_x={"type": "data", "array": halves, "color": colour, "thickness": 2, "width": 4},
        text=[_hover(line) for line in summary],
        hoverinfo="text",
    )


def _percent(fraction: float) -> float:
    return float(f"{100 * fraction:.5g}")


def _hover(line: Mapping[str, Any]) -> str:
    count, accuracy = line["seeds"], fmt.percent(line["accuracy"], 2)
    texts = [
        f"<b>{escape(label_arm(line['arm']))}</b>, {STATE_LABELS[line['state']]}",
        f"{accuracy}, {count} seed{'s' if count > 1 else ''}, {fmt.epochs(line['epochs'])} epochs",
    ]
    if line["high"] is not None:
        texts.append(f"95% interval {fmt.percent(line['low'], 2)} to {fmt.percent(line['high'], 2)}")
    if line["difference"] is not None:
        texts.append(f"{fmt.points(line['difference'], 2)} points against two-in-one after as many epochs")
    texts.append(f"{fmt.whole(line['kept'])} of D = {fmt.whole(line['prunable'])} weights")
    texts.append(
        f"{fmt.quantity(line['macs_executed'])} MACs, {fmt.quantity(line['macs_theoretical'])} in theory"
    )
    return "<br>".join(texts)
