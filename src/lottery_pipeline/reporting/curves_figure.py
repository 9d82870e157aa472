"""Training curves: what happened in the dense run and in the retraining of each ticket."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from lottery_pipeline.reporting.layout import axis, column, log_axis, start_figure
from lottery_pipeline.reporting.metric import ACCURACY, put_metric
from lottery_pipeline.reporting.palette import DENSE_COLOUR, label_run, look_of

Tables = Mapping[str, list[dict[str, Any]] | None]


def draw_training_curves(
    dense_history: Sequence[dict[str, Any]] | None, histories: Tables, metric: str = ACCURACY
) -> go.Figure:
    """Draw accuracy (upper panel) and loss (lower panel) over epochs: validation solid, training dotted.

    Args:
        dense_history: history rows of the dense run (None or empty leaves it out).
        histories: history rows of the retraining by run.
        metric: what the accuracies are.

    Returns:
        A figure with two panels that share the epoch axis.
    """
    figure = start_figure("Training curves", height=640)
    figure.set_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.07)
    if dense_history:
        _add_curves(figure, "Dense network", DENSE_COLOUR, dense_history, metric)
    for run, history in histories.items():
        if history:
            _add_curves(figure, label_run(run, run), look_of(run).colour, history, metric)
    for name, dash in (("validation", "solid"), ("training", "dot")):
        line = {"color": DENSE_COLOUR, "dash": dash, "width": 2}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="lines", name=name, line=line, hoverinfo="skip"))
    figure.update_xaxes(axis(""))
    figure.update_xaxes(title={"text": "Epoch", "standoff": 10}, row=2)
    figure.update_yaxes(axis(put_metric("Accuracy", metric), tickformat=".1~%", nticks=6), row=1)
    losses = [value for trace in figure.data if trace.yaxis == "y2" for value in trace.y]
    figure.update_yaxes(log_axis("Loss", losses), row=2)
    return figure


def _add_curves(
    figure: go.Figure, label: str, colour: str, history: Sequence[dict[str, Any]], metric: str
) -> None:
    steps, heading = column(history, "epoch"), f"<b>{escape(label)}</b>, epoch %{{x}}"
    for panel, quantity, form in ((1, "accuracy", ".2%"), (2, "loss", ",.4~r")):
        curves = [(part, column(history, f"{part}_{quantity}")) for part in ("validation", "train")]
        known = [(part, values) for part, values in curves if any(value is not None for value in values)]
        said = put_metric(quantity, metric)
        for part, values in known:
            dash, width = ("solid", 2.2) if part == "validation" else ("dot", 1.6)
            figure.add_trace(
                go.Scatter(
                    x=steps,
                    y=values,
                    mode="lines+markers" if len(steps) == 1 else "lines",
                    name=escape(label),
                    legendgroup=label,
                    showlegend=panel == 1 and part == known[0][0],
                    line={"color": colour, "width": width, "dash": dash},
                    hovertemplate=f"{heading}<br>{part} {said} %{{y:{form}}}<extra></extra>",
                ),
                row=panel,
                col=1,
            )
