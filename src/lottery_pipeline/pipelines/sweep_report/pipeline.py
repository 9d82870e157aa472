"""Wiring of the report of a sweep."""

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.pipelines.blocks import make_block
from lottery_pipeline.pipelines.sweep_report.nodes import (
    draw_figures,
    summarise_cells,
    tabulate_differences,
    tabulate_points,
    write_report,
)

BLOCK = "sweep_report"
FIGURES = ["accuracy_against_density", "accuracy_against_cost", "fronts"]


def create_pipeline() -> Pipeline:
    """Put the points of a sweep together, compare what they show, and write the page."""
    options = f"params:{BLOCK}"
    read = ["sweep_points", "rows", "cells", "differences", *FIGURES]
    nodes = [
        Node(tabulate_points, inputs="sweep_points", outputs="rows", name="tabulate_points"),
        Node(summarise_cells, inputs=["rows", options], outputs="cells", name="summarise_cells"),
        Node(tabulate_differences, inputs="rows", outputs="differences", name="tabulate_differences"),
        Node(draw_figures, inputs="cells", outputs=FIGURES, name="draw_figures"),
        Node(
            write_report,
            inputs={**{name: name for name in read}, BLOCK: options},
            outputs="page",
            name="write_report",
        ),
    ]
    return make_block(BLOCK, nodes, inputs={"sweep_points": "sweep_points"}, parameters=[options])
