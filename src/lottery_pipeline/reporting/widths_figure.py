"""What the search has left of each block of a supernet: kernels, widths, tokens, arithmetic, weights."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.blocks import (
    describe_block,
    list_groups,
    list_kinds,
    list_searchable,
    share_macs,
    short_name,
)
from lottery_pipeline.reporting.layout import MARGIN_TOP, axis, start_figure
from lottery_pipeline.reporting.palette import SHARES

Rows = Sequence[Mapping[str, Any]]
ROW_HEIGHT = 24


def draw_block_widths(blocks: Rows) -> go.Figure:
    """Draw a row of cells for each block, input at the top, darker where more of the supernet is left.

    Args:
        blocks: as ``tabulate_blocks`` makes them.

    Returns:
        A figure with a column for each kernel and for tokens (the number that is left), for
        multiply-accumulates (share of the supernet's) and for weights (share that is not masked, of those in
        the remaining channels). A cell is empty where the supernet has nothing to remove.
    """
    rows = list_searchable(blocks)
    kinds = list_kinds(rows)
    columns = [*kinds, "MACs", "weights"]
    cells = [_fill_cells(row, kinds) for row in rows]
    figure = start_figure(
        "Kernels and widths of every block", height=MARGIN_TOP + 50 + ROW_HEIGHT * max(4, len(rows))
    )
    figure.add_heatmap(
        x=columns,
        y=[escape(short_name(row)) for row in rows],
        z=[[share for share, _ in line] for line in cells],
        text=[[text for _, text in line] for line in cells],
        texttemplate="%{text}",
        hovertext=[[describe_block(row)] * len(columns) for row in rows],
        hoverinfo="text",
        colorscale=SHARES,
        zmin=0,
        zmax=1,
        xgap=2,
        ygap=2,
        showscale=False,
    )
    figure.update_layout(margin={"b": 20})
    figure.update_xaxes(axis("", type="category", side="top", showgrid=False, ticks=""))
    figure.update_yaxes(axis("", type="category", showgrid=False, ticks="", autorange="reversed"))
    return figure


def _fill_cells(row: Mapping[str, Any], kinds: Sequence[str]) -> list[tuple[float | None, str]]:
    """Return share and text of each cell of a block."""
    groups = list_groups(row)
    known = [groups.get(kind) for kind in kinds]
    cells: list[tuple[float | None, str]] = [
        (None, "") if group is None else (float(f"{group[0] / group[1]:.4g}"), str(group[0]))
        for group in known
    ]
    shares = (share_macs(row), row["density"])
    return [*cells, *((float(f"{share:.4g}"), fmt.percent(share, 0)) for share in shares)]
