"""Accuracy against the cost of running and training a ticket."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import plotly.graph_objects as go

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.layout import axis, column, interval_bars, start_figure
from lottery_pipeline.reporting.metric import name_metric, put_metric
from lottery_pipeline.reporting.networks import (
    Parent,
    list_parents,
    name_network,
    split_by_network,
)
from lottery_pipeline.reporting.palette import DENSE_COLOUR, label_run, look_of, ticket_marker
from lottery_pipeline.reporting.spreading import measure_span, spread
from lottery_pipeline.reporting.uncertainty import find_test_interval
from lottery_pipeline.reproducibility.measured import flatten_record

Records = Mapping[str, dict[str, Any] | None]


class Panel(NamedTuple):
    """A cost on the horizontal axis: its title, its key in the metrics, and that of the dense network."""

    title: str
    key: str
    dense: str


WIDTH, HEIGHT = 0.06, 0.035  # of a marker, as shares of a panel
PANELS = (
    Panel("Executed<br>MACs", "macs_executed", "macs_dense"),
    # Times from different moments are not comparable; each was measured in turns with the dense network.
    Panel("Latency,<br>dense = 1", "relative_latency", "relative_latency"),
    Panel("Seconds of<br>training", "train_seconds", "seconds"),
)


def draw_accuracy_against_execution(dense_metrics: Mapping[str, Any] | None, metrics: Records) -> go.Figure:
    """Draw test accuracy over executed MACs, over the latency of the dense network, and over training time.

    Args:
        dense_metrics: metrics of the dense run: an open circle; None leaves it out, and so does a table
            without a run of its network.
        metrics: final metrics by run. A mask alone changes nothing here: only physical removal does.

    Returns:
        A figure with three panels that share the accuracy axis; the middle one is empty if no latency was
        measured. Runs of another network have an open circle of their own, for their dense parent, whose
        training time is not known.
    """
    finals = {run: flatten_record(record) for run, record in metrics.items() if record is not None}
    metric = name_metric([*finals.values(), dense_metrics])
    figure = start_figure(put_metric("Test accuracy against execution cost", metric), height=460)
    figure.set_subplots(rows=1, cols=3, shared_yaxes=True, horizontal_spacing=0.05)
    common, others = split_by_network(finals, dense_metrics)
    timed = any(_latency_rows(record) for record in finals.values())
    for number, panel in enumerate(PANELS, start=1):
        traces = [_ticket_trace(run, record, panel) for run, record in finals.items()]
        if dense_metrics is not None and common:
            macs = next(iter(common.values())).get("macs_dense")
            traces.append(_dense_trace(flatten_record(dense_metrics), macs, panel, timed=timed))
        traces += [_parent_trace(parent, panel, timed=timed) for parent in list_parents(others)]
        _part_markers(traces)
        for trace in traces:
            trace.showlegend = number == 1
            figure.add_trace(trace, row=1, col=number)
        figure.update_xaxes(axis(panel.title, rangemode="tozero", nticks=4), row=1, col=number)
        figure.update_xaxes(title={"font": {"size": 13}}, row=1, col=number)  # three must fit on a phone
    figure.update_yaxes(axis("", tickformat=".1~%", nticks=7))
    figure.update_yaxes(title={"text": put_metric("Test accuracy", metric), "standoff": 10}, col=1)
    return figure


def _part_markers(traces: Sequence[go.Scatter]) -> None:
    """Move markers aside where one would hide another."""
    places = [(trace.x[0], trace.y[0]) for trace in traces]
    most = max([x for x, _ in places if x is not None], default=0.0)
    moved = spread(places, WIDTH * most, HEIGHT * measure_span([y for _, y in places]))
    for trace, (x, _), now in zip(traces, places, moved, strict=True):
        if now is not None and now != x:
            trace.x = [float(f"{now:.5g}")]


def _latency_rows(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the ticket, the largest batch last."""
    rows = (record.get("latency") or {"rows": []})["rows"]
    return sorted((row for row in rows if row["model"] == "ticket"), key=lambda row: row["batch_size"])


def _ticket_trace(run: str, record: Mapping[str, Any], panel: Panel) -> go.Scatter:
    method, accuracy = str(record["method"]), record["test_accuracy"]
    look, label = look_of(method), label_run(run, method)
    speed = [
        f"{row['speedup']:.2f} times as fast as dense at batch {row['batch_size']} "
        f"({row['speedup_low']:.2f} to {row['speedup_high']:.2f})"
        for row in _latency_rows(record)
    ]
    rows = _latency_rows(record)
    record = record if not rows else {**record, "relative_latency": 1 / rows[-1]["speedup"]}
    executed = f"{fmt.quantity(record['macs_executed'])} of {fmt.quantity(record['macs_dense'])}"
    score = f"test accuracy {fmt.percent(record.get('test_accuracy'), 2)}"
    lines = [
        f"<b>{escape(label)}</b>",
        put_metric(score, name_metric([record])),
        f"network: {escape(name_network(record))}",
        f"executed {executed} MACs, {fmt.quantity(record['macs_theoretical'])} in theory",
        *speed,
    ]
    return go.Scatter(
        x=column([record], panel.key),
        y=column([record], "test_accuracy"),
        mode="markers",
        name=label,
        legendgroup=run,
        marker=ticket_marker(look),
        error_y=interval_bars(accuracy, find_test_interval(record), look.colour),
        text=["<br>".join(lines)],
        hoverinfo="text",
    )


def _dense_trace(dense: Mapping[str, Any], macs: float | None, panel: Panel, *, timed: bool) -> go.Scatter:
    found = {"macs_dense": macs, "seconds": dense.get("seconds"), "relative_latency": 1 if timed else None}
    name = f"Dense network, {fmt.percent(dense['test_accuracy'])}"
    return _circle(found, panel, dense["test_accuracy"], name, DENSE_COLOUR, size=13)


def _parent_trace(parent: Parent, panel: Panel, *, timed: bool) -> go.Scatter:
    """Draw a larger circle: both dense networks have a latency of 1, and may have one accuracy."""
    found = {"macs_dense": parent.macs, "relative_latency": 1 if timed else None}
    return _circle(found, panel, parent.accuracy, parent.name, parent.colour, size=19)


def _circle(
    found: Mapping[str, Any], panel: Panel, accuracy: float, name: str, colour: str, *, size: int
) -> go.Scatter:
    return go.Scatter(
        x=column([found], panel.dense),
        y=column([{"accuracy": accuracy}], "accuracy"),
        mode="markers",
        name=name,
        legendgroup=name,
        marker={"symbol": "circle-open", "size": size, "color": colour, "line": {"width": 2}},
        hoverinfo="name",
    )
