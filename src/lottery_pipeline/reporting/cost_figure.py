"""Accuracy against cost: what each ticket took to find and to train, in epochs and in seconds."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.layout import axis, column, interval_bars, start_figure
from lottery_pipeline.reporting.metric import name_metric, put_metric
from lottery_pipeline.reporting.networks import count_weights, split_by_network
from lottery_pipeline.reporting.palette import DENSE_COLOUR, label_run, look_of, ticket_marker
from lottery_pipeline.reporting.spreading import measure_span, spread
from lottery_pipeline.reporting.uncertainty import find_test_interval
from lottery_pipeline.reproducibility.measured import flatten_record

Records = Mapping[str, dict[str, Any] | None]
DECADES = tuple(float(f"{mantissa}e{decade}") for decade in range(-3, 6) for mantissa in (1, 2, 5))
TIMES: dict[float, str] = {  # ticks as people count time
    **{seconds: f"{write_number(seconds)} s" for seconds in (*DECADES[:9], 1, 2, 5, 10, 20, 30)},
    **{60 * minutes: f"{minutes} min" for minutes in (1, 2, 5, 10, 20, 30)},
    **{3600 * hours: f"{hours} h" for hours in (1, 2, 5, 12)},
    **{86400 * days: f"{days} d" for days in (1, 2, 5, 10, 30)},
}
TICKS = {"epochs": {number: write_number(number) for number in DECADES}, "seconds": TIMES}
TITLES = {"epochs": "Epochs of search<br>and training", "seconds": "Time of search<br>and training"}
MOST_TICKS = 9
WIDTH, HEIGHT = 0.04, 0.035  # of a marker, as shares of a panel


def draw_accuracy_against_cost(dense_metrics: Mapping[str, Any] | None, metrics: Records) -> go.Figure:
    """Draw test accuracy over cost on logarithmic axes: epochs of training on the left, seconds on the right.

    Args:
        dense_metrics: metrics of the dense run: an open circle at the cost of its training; None leaves it
            out, and so do runs that all have another network.
        metrics: final metrics by run: a marker at the cost of search and training together, and a bar to it
            from a small tick at the cost of training alone. A cost of 0 has no place on the axis and is left
            out.

    Returns:
        A figure with two panels that share the accuracy axis.
    """
    finals = {run: flatten_record(record) for run, record in metrics.items() if record is not None}
    metric = name_metric([*finals.values(), dense_metrics])
    figure = start_figure(put_metric("Test accuracy against cost", metric), height=480)
    figure.set_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.07)
    strangers = bool(finals) and not split_by_network(finals, dense_metrics)[0]
    dense = None if dense_metrics is None or strangers else flatten_record(dense_metrics)
    for panel, unit in enumerate(TITLES, start=1):
        traces = [] if dense is None else [_dense_trace(dense, unit)]
        for run, record in finals.items():
            traces += [_search_trace(run, record, unit), _final_trace(run, record, unit)]
        _part_markers(traces)
        costs = [cost for trace in traces for cost in trace.x if cost is not None]
        for trace in traces:
            trace.showlegend = trace.showlegend is None and panel == 1
            figure.add_trace(trace, row=1, col=panel)
        figure.update_xaxes(cost_axis(unit, costs), row=1, col=panel)
        figure.update_xaxes(title={"font": {"size": 13}}, row=1, col=panel)  # both must fit on a phone
    figure.update_yaxes(axis("", tickformat=".1~%", nticks=7))
    figure.update_yaxes(title={"text": put_metric("Test accuracy", metric), "standoff": 10}, col=1)
    return figure


def _part_markers(traces: Sequence[go.Scatter]) -> None:
    """Move the markers of tickets aside where one would hide another; the bar ends at its marker."""
    marked = [trace for trace in traces if trace.mode == "markers"]
    places = [(None if t.x[0] is None else math.log10(t.x[0]), t.y[0]) for t in marked]
    span, rise = (measure_span([place[side] for place in places]) for side in (0, 1))
    moved = spread(places, WIDTH * (span + 2 * math.log10(1.5)), HEIGHT * rise)
    for trace, (place, _), now in zip(marked, places, moved, strict=True):
        if now is not None and now != place:
            cost = float(f"{10**now:.5g}")
            trace.x = [cost]
            for bar in traces:
                if bar.legendgroup == trace.legendgroup and bar is not trace:
                    bar.x = [bar.x[0], cost]


def _costs(record: Mapping[str, Any], unit: str) -> list[float | None]:
    """Return the cost of training, and of search and training together; None if it is not above 0."""
    train = record[f"train_{unit}"]
    costs = column([{"cost": train}, {"cost": train + record[f"search_{unit}"]}], "cost")
    return [cost if cost is not None and cost > 0 else None for cost in costs]


def _search_trace(run: str, record: Mapping[str, Any], unit: str) -> go.Scatter:
    colour = look_of(str(record["method"])).colour
    return go.Scatter(
        x=_costs(record, unit),
        y=column([record, record], "test_accuracy"),
        mode="lines+markers",
        name=label_run(run, str(record["method"])),
        legendgroup=run,
        showlegend=False,
        line={"color": colour, "width": 1.6},
        marker={"symbol": "line-ns", "size": [9, 0], "line": {"width": 1.6, "color": colour}},
        hoverinfo="skip",
    )


def _final_trace(run: str, record: Mapping[str, Any], unit: str) -> go.Scatter:
    look, label = look_of(str(record["method"])), label_run(run, str(record["method"]))
    score = f"test accuracy {fmt.percent(record.get('test_accuracy'), 2)}"
    lines = [
        f"<b>{escape(label)}</b>",
        put_metric(score, name_metric([record])),
        f"density {fmt.density(record['density'])}: {count_weights(record)}",
        f"search {fmt.epochs(record['search_epochs'])} epochs, {fmt.duration(record['search_seconds'])}",
        f"training {fmt.epochs(record['train_epochs'])} epochs, {fmt.duration(record['train_seconds'])}",
    ]
    return go.Scatter(
        x=_costs(record, unit)[1:],
        y=column([record], "test_accuracy"),
        mode="markers",
        name=label,
        legendgroup=run,
        marker=ticket_marker(look),
        error_y=interval_bars(record["test_accuracy"], find_test_interval(record), look.colour),
        text=["<br>".join(lines)],
        hoverinfo="text",
    )


def _dense_trace(dense: Mapping[str, Any], unit: str) -> go.Scatter:
    cost = {"epochs": fmt.epochs(dense["epochs"]) + " epochs", "seconds": fmt.duration(dense["seconds"])}
    name = f"Dense network, {fmt.percent(dense['test_accuracy'])}"
    return go.Scatter(
        x=[dense[unit] if dense[unit] > 0 else None],
        y=column([dense], "test_accuracy"),
        mode="markers",
        name=name,
        legendgroup=name,
        marker={"symbol": "circle-open", "size": 13, "color": DENSE_COLOUR, "line": {"width": 2}},
        text=[f"<b>{name}</b><br>training {cost['epochs']}, {cost['seconds']}"],
        hoverinfo="text",
    )


def cost_axis(unit: str, costs: Sequence[float]) -> dict[str, Any]:
    """Describe a logarithmic axis that spans the costs."""
    low, high = min(costs, default=1.0) / 1.5, max(costs, default=1.0) * 1.5
    ticks = {value: text for value, text in TICKS[unit].items() if low <= value <= high}
    step = math.ceil(len(ticks) / MOST_TICKS) or 1
    return axis(
        TITLES[unit],
        type="log",
        range=[math.log10(low), math.log10(high)],
        tickmode="array",
        tickvals=list(ticks)[::step],
        ticktext=list(ticks.values())[::step],
    )
