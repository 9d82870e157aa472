"""A drawing of the architecture that a search has found, beside the supernet that it was found in."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from lottery_pipeline.reporting.block_places import HALF, Places, Point, place_blocks
from lottery_pipeline.reporting.blocks import (
    colour_kind,
    describe_block,
    is_gone,
    list_groups,
    list_kinds,
    list_searchable,
    share_channels,
)
from lottery_pipeline.reporting.layout import MARGIN_BOTTOM, MARGIN_TOP, axis, start_figure
from lottery_pipeline.reporting.palette import DENSE_COLOUR

Rows = Sequence[Mapping[str, Any]]
Line = Sequence[float | None]
BRANCH_HEIGHT = 96  # pixels
HALF_HEIGHT = 0.3  # of a box, in branches
PATH_COLOUR = "#7A5FC7"
PATH_WIDTHS = (1.5, 3.0, 4.5, 6.0)  # pixels: up to a quarter, half, three quarters, all of the channels
ALONG = 0.36  # where on its path a fusion shows its numbers: paths that cross do so in their middle


def draw_architecture(blocks: Rows) -> go.Figure:
    """Draw branches as rows, stages from left to right, blocks as boxes and fusions as lines.

    Args:
        blocks: as ``tabulate_blocks`` makes them.

    Returns:
        A figure with a trace for each kind of group: in every box a bar of each group, as high as the share
        of its channels or tokens that is left. A line between branches is the thicker, the more of its
        channels are left. A block with nothing left is its skip path, a dotted line.
    """
    rows = {str(row["block"]): row for row in list_searchable(blocks)}
    places = place_blocks(rows)
    height = MARGIN_TOP + MARGIN_BOTTOM + BRANCH_HEIGHT * places.branches
    figure = start_figure("The architecture found", height=height)
    gone = {name for name, row in rows.items() if is_gone(row)}
    figure.add_trace(_lines(places.wires, "", DENSE_COLOUR, 1.2))
    figure.add_traces(_path_traces(places, rows, gone))
    skips = [places.paths[name] for name in places.paths if name in gone]
    skips += [_across(places.boxes[name]) for name in places.boxes if name in gone]
    if skips:
        figure.add_trace(_lines(skips, "gone: only the skip path", DENSE_COLOUR, 1.6, dash="dot"))
    boxes = {name: place for name, place in places.boxes.items() if name not in gone}
    figure.add_trace(_outlines(boxes.values()))
    figure.add_traces(_bar_traces(boxes, rows))
    figure.add_trace(_hover_trace(places, rows))
    figure.add_trace(_ends_trace(places, blocks))
    sizes = _name_branches(rows)
    figure.update_xaxes(
        axis(
            "Stage",
            showgrid=False,
            tickvals=list(places.stages.values()),
            ticktext=list(places.stages),
            range=[-1.1, places.end[0] + 1.1],
        )
    )
    branches = list(range(1, places.branches + 1))
    figure.update_yaxes(
        axis(
            "",
            showgrid=False,
            tickvals=[-branch for branch in branches],
            ticktext=[f"branch {branch}<br>{sizes.get(branch, '')}" for branch in branches],
            range=[-places.branches - 0.5, -0.5],
        )
    )
    return figure


def _lines(
    ends: Iterable[tuple[Point, Point]], name: str, colour: str, width: float, *, dash: str = "solid"
) -> go.Scatter:
    x: list[float | None] = []
    y: list[float | None] = []
    for (left, start), (right, end) in ends:
        x += [left, right, None]
        y += [start, end, None]
    return go.Scatter(
        x=_round(x),
        y=_round(y),
        mode="lines",
        name=name,
        showlegend=bool(name),
        line={"color": colour, "width": width, "dash": dash},
        hoverinfo="skip",
    )


def _path_traces(places: Places, rows: Mapping[str, Mapping[str, Any]], gone: set[str]) -> list[go.Scatter]:
    """Draw the paths between branches, a trace for each width; one of them stands in the legend."""
    by_width: dict[float, list[tuple[Point, Point]]] = {}
    for name, ends in places.paths.items():
        if name not in gone:
            step = max(0, math.ceil(4 * share_channels(rows[name])) - 1)
            by_width.setdefault(PATH_WIDTHS[step], []).append(ends)
    traces = [_lines(by_width[width], "", PATH_COLOUR, width) for width in sorted(by_width)]
    for path in traces[-1:]:
        path.update(name="path: thicker with more channels", showlegend=True)
    return traces


def _across(middle: Point) -> tuple[Point, Point]:
    x, y = middle
    return (x - HALF, y), (x + HALF, y)


def _outlines(middles: Iterable[Point]) -> go.Scatter:
    """Draw the boxes: as high as everything that the supernet has."""
    x: list[float | None] = []
    y: list[float | None] = []
    for middle in middles:
        _add_box(x, y, middle[0] - HALF, middle[0] + HALF, middle[1] - HALF_HEIGHT, middle[1] + HALF_HEIGHT)
    return go.Scatter(
        x=_round(x),
        y=_round(y),
        mode="lines",
        name="box: all of the supernet",
        line={"color": DENSE_COLOUR, "width": 1},
        hoverinfo="skip",
    )


def _bar_traces(boxes: Mapping[str, Point], rows: Mapping[str, Mapping[str, Any]]) -> list[go.Scatter]:
    """Draw the bars in the boxes, a trace for each kind of group."""
    kinds = list_kinds(list(rows.values()))
    traces = []
    for kind in kinds:
        x: list[float | None] = []
        y: list[float | None] = []
        for name, middle in boxes.items():
            groups = list_groups(rows[name])
            if kind in groups and groups[kind][0]:
                width, place = 2 * HALF / len(groups), list(groups).index(kind)
                left, bottom = middle[0] - HALF + place * width, middle[1] - HALF_HEIGHT
                share = groups[kind][0] / groups[kind][1]
                _add_box(x, y, left, left + width, bottom, bottom + 2 * HALF_HEIGHT * share)
        traces.append(
            go.Scatter(
                x=_round(x),
                y=_round(y),
                mode="none",
                fill="toself",
                fillcolor=colour_kind(kinds, kind),
                name=kind,
                hoverinfo="skip",
            )
        )
    return traces


def _add_box(
    x: list[float | None], y: list[float | None], left: float, right: float, bottom: float, top: float
) -> None:
    x += [left, right, right, left, left, None]
    y += [bottom, bottom, top, top, bottom, None]


def _hover_trace(places: Places, rows: Mapping[str, Mapping[str, Any]]) -> go.Scatter:
    """Draw dots on the paths, and nothing in the boxes; both say what hovering shows."""
    spots = {
        name: (start[0] + ALONG * (end[0] - start[0]), start[1] + ALONG * (end[1] - start[1]))
        for name, (start, end) in places.paths.items()
    }
    both = [*spots.items(), *places.boxes.items()]
    return go.Scatter(
        x=_round([x for _, (x, _) in both]),
        y=_round([y for _, (_, y) in both]),
        mode="markers",
        showlegend=False,
        marker={
            "symbol": "circle",
            "size": 6,
            "color": PATH_COLOUR,
            "line": {"width": 1, "color": "rgba(255,255,255,0.75)"},
            "opacity": [1 if name in spots else 0 for name, _ in both],
        },
        text=[describe_block(rows[name]) for name, _ in both],
        hoverinfo="text",
    )


def _ends_trace(places: Places, blocks: Rows) -> go.Scatter:
    """Draw where images come in and answers go out: layers that no search removes."""
    others = [describe_block(row) for row in blocks if not row["supernet_kernels"]]
    text = others[0] if others else ""
    return go.Scatter(
        x=[0, *_round([places.end[0]])],
        y=[-1, places.end[1]],
        mode="markers+text",
        text=["in", "out"],
        textposition="top center",
        showlegend=False,
        marker={"symbol": "circle", "size": 9, "color": DENSE_COLOUR},
        hovertext=[text, text],
        hoverinfo="text",
    )


def _name_branches(rows: Mapping[str, Mapping[str, Any]]) -> dict[int, str]:
    """Return the size of each branch, that of what is written by the blocks within it."""
    sizes: dict[int, str] = {}
    for name, row in rows.items():
        if found := re.search(r"\.branch(\d+)\.", name):
            sizes.setdefault(int(found[1]), escape(str(row["size"]).replace("x", "×")))
    return sizes


def _round(values: Line) -> list[float | None]:
    return [None if value is None else float(f"{value:.4g}") for value in values]
