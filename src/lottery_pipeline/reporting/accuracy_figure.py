"""Accuracy against density: the figure the field reads first."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.layout import (
    axis,
    column,
    density_axis,
    interval_bars,
    reference_line,
    start_figure,
)
from lottery_pipeline.reporting.metric import name_metric, put_metric
from lottery_pipeline.reporting.networks import count_of_dense, count_weights, list_parents, split_by_network
from lottery_pipeline.reporting.palette import (
    CONTROL_SYMBOLS,
    label_control,
    label_run,
    look_of,
    ticket_marker,
)
from lottery_pipeline.reporting.spreading import spread
from lottery_pipeline.reporting.uncertainty import find_test_interval, print_interval
from lottery_pipeline.reproducibility.measured import flatten_record

Records = Mapping[str, dict[str, Any] | None]
Mark = tuple[str, str, float]  # run, kind of control (empty for tickets and rungs), density
STEP = 0.022  # of the axis, between markers of equal density
Tables = Mapping[str, list[dict[str, Any]] | None]


def draw_accuracy_against_density(
    dense_metrics: Mapping[str, Any] | None, metrics: Records, ladders: Tables, controls: Tables
) -> go.Figure:
    """Draw test accuracy over the remaining weights, fewer to the right, on a logarithmic axis.

    Args:
        dense_metrics: metrics of the dense run: the dashed line; None leaves it out, and so do runs
            that all have another network.
        metrics: final metrics by run: one large marker each.
        ladders: rungs by run: a line with small markers each (iterative methods only).
        controls: control rows by run: open markers in the method's colour.

    Returns:
        A figure with a trace for the dense run, each ladder, each kind of control and each final point, which
        has its 95 % interval over the choice of test images. Markers of equal density stand side by side.
        Runs of another network have a dashed line of their own, at the accuracy of their dense parent.
    """
    finals = {run: flatten_record(record) for run, record in metrics.items() if record is not None}
    metric = name_metric([*finals.values(), dense_metrics])
    figure = start_figure(put_metric("Test accuracy against remaining weights", metric), height=520)
    methods = {run: str(record["method"]) for run, record in finals.items()}
    sizes = {run: record["prunable"] for run, record in finals.items()}
    ladders = {run: count_of_dense(table, sizes.get(run)) for run, table in ladders.items()}
    controls = {run: count_of_dense(table, sizes.get(run)) for run, table in controls.items()}
    common, others = split_by_network(finals, dense_metrics)
    places = _spread({run: [record] for run, record in finals.items()}, ladders, controls)
    if dense_metrics is not None and (common or not finals):
        accuracy = dense_metrics["test_accuracy"]
        own = [place for (run, _, _), place in places.items() if run not in others]
        line = reference_line(
            [1.0, min([0.9, *own])], [accuracy] * 2, f"Dense network, {fmt.percent(accuracy)}"
        )
        figure.add_trace(line)
    for parent in list_parents(others):
        line = reference_line(
            [1.0, min([0.9, *parent.densities])], [parent.accuracy] * 2, parent.name, dash="dot"
        )
        figure.add_trace(line.update(line={"color": parent.colour}))
    for run, ladder in ladders.items():
        if ladder:
            ticket = finals.get(run, {}).get("density")
            figure.add_trace(_ladder_trace(run, methods.get(run, run), ladder, places, ticket))
    for run, table in controls.items():
        for kind in sorted({str(row["control"]) for row in table or ()}):
            chosen = [row for row in table or () if row["control"] == kind]
            figure.add_trace(_control_trace(run, methods.get(run, run), kind, chosen, places))
    for run, record in finals.items():
        figure.add_trace(_final_trace(run, record, places, in_legend=not ladders.get(run)))
    figure.update_xaxes(density_axis("Remaining weights (density)", list(places.values()), decreasing=True))
    figure.update_yaxes(axis(put_metric("Test accuracy", metric), tickformat=".1~%", nticks=7))
    return figure


def _spread(finals: Tables, ladders: Tables, controls: Tables) -> dict[Mark, float]:
    """Return where on the axis of densities each marker stands: those of equal density side by side.

    A rung and the ticket of the same run share a place, since they are the same network.
    """
    marks: dict[Mark, float] = {}
    for tables in (finals, ladders):
        for run, rows in tables.items():
            marks |= {(run, "", row["density"]): row["density"] for row in rows or ()}
    for run, rows in controls.items():
        marks |= {(run, str(row["control"]), row["density"]): row["density"] for row in rows or ()}
    exact = [math.log10(density) for density in marks.values()]
    span = math.log10(1.12) - min(exact, default=0.0) + math.log10(1.12)
    moved = spread([(place, 0.0) for place in exact], STEP * span, math.inf)
    return {
        mark: density if place == value else float(f"{10**place:.5g}")
        for (mark, density), place, value in zip(marks.items(), moved, exact, strict=True)
        if place is not None
    }


def _hover(title: str, row: Mapping[str, Any], *, epochs: Any, seconds: Any) -> str:
    weights = count_weights(row) if "prunable" in row else f"{fmt.whole(row['kept'])} weights"
    metric = name_metric([row])
    lines = [
        f"<b>{escape(title)}</b>",
        put_metric(f"test accuracy {fmt.percent(row.get('test_accuracy'), 2)}", metric),
        f"density {fmt.density(row['density'])}: {weights}",
    ]
    if interval := print_interval(find_test_interval(row)):
        lines.insert(2, f"95% interval {interval}, by the choice of test images")
    if row.get("validation_accuracy") is not None:
        known = f"validation accuracy {fmt.percent(row['validation_accuracy'], 2)}"
        lines.insert(2, put_metric(known, metric))
    if epochs is not None:
        lines.append(f"{fmt.epochs(epochs)} epochs, {fmt.duration(seconds)}")
    return "<br>".join(lines)


def _ladder_trace(
    run: str,
    method: str,
    ladder: Sequence[dict[str, Any]],
    places: Mapping[Mark, float],
    ticket: float | None,
) -> go.Scatter:
    look, label = look_of(method), label_run(run, method)
    rungs = sorted(ladder, key=lambda row: -row["density"])
    return go.Scatter(
        x=[places[run, "", row["density"]] for row in rungs],
        y=column(rungs, "test_accuracy"),
        mode="lines+markers",
        name=label,
        legendgroup=run,
        line={"color": look.colour, "width": 2.2},
        marker={
            "symbol": look.symbol,
            "size": [0 if row["density"] == ticket else 7 for row in rungs],  # the ticket has its own
            "color": look.colour,
        },
        text=[
            _hover(f"{label}, rung {row['rung']}", row, epochs=row.get("epochs"), seconds=row.get("seconds"))
            for row in rungs
        ],
        hoverinfo="text",
    )


def _control_trace(
    run: str, method: str, kind: str, rows: Sequence[dict[str, Any]], places: Mapping[Mark, float]
) -> go.Scatter:
    look, label = look_of(method), f"{label_run(run, method)}: {label_control(kind)}"
    ordered = sorted(rows, key=lambda row: -row["density"])
    one_each = len({row["kept"] for row in rows}) == len(rows)
    return go.Scatter(
        x=[places[run, kind, row["density"]] for row in ordered],
        y=column(ordered, "test_accuracy"),
        mode="lines+markers" if one_each and len(rows) > 1 else "markers",
        name=label,
        line={"color": look.colour, "width": 1.2, "dash": "dot"},
        marker={
            "symbol": f"{CONTROL_SYMBOLS.get(kind, 'hexagram')}-open",
            "size": 10,
            "color": look.colour,
            "line": {"width": 1.8, "color": look.colour},
        },
        text=[_hover(label, row, epochs=row.get("epochs"), seconds=row.get("seconds")) for row in ordered],
        hoverinfo="text",
    )


def _final_trace(
    run: str, record: dict[str, Any], places: Mapping[Mark, float], *, in_legend: bool
) -> go.Scatter:
    interval = find_test_interval(record)
    look, label = look_of(str(record["method"])), label_run(run, str(record["method"]))
    hover = _hover(
        f"{label}: the ticket", record, epochs=record["train_epochs"], seconds=record["train_seconds"]
    )
    search = (
        f"found in {fmt.epochs(record['search_epochs'])} epochs, {fmt.duration(record['search_seconds'])}"
    )
    if not fmt.is_missing(record.get("found_accuracy")):
        score = f"test accuracy {fmt.percent(record['found_accuracy'], 2)}"
        search += f"<br>{put_metric(score, name_metric([record]))} as found, before its retraining"
    return go.Scatter(
        x=[places[run, "", record["density"]]],
        y=column([record], "test_accuracy"),
        mode="markers",
        name=label,
        legendgroup=run,
        showlegend=in_legend,
        marker=ticket_marker(look),
        error_y=interval_bars(record["test_accuracy"], interval, look.colour),
        text=[f"{hover}<br>{search}"],
        hoverinfo="text",
    )
