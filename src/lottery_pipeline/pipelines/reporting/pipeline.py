"""Wiring of reporting."""

from collections.abc import Collection

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.pipelines.blocks import make_block
from lottery_pipeline.pipelines.gathering import Gatherer, GatheringPipeline
from lottery_pipeline.pipelines.reporting.nodes import (
    build_leaderboard,
    draw_figures,
    draw_images,
    gather_results,
    write_report,
)

FIGURES = [
    "accuracy_against_density",
    "accuracy_against_cost",
    "accuracy_against_execution",
    "training_curves",
    "layer_densities",
    "layer_macs",
]
DATA = ["data_profile", "data_samples", "data_class_counts"]
ALWAYS = ["data_overview", "dense_record", "stored_results"]


def create_pipeline() -> Pipeline:
    """Build the leaderboard, draw the figures and write the report, of all methods that have results."""
    return GatheringPipeline([], [Gatherer("reporting", ".record", order=2, create=create_nodes)])


def create_nodes(records: Collection[str]) -> Pipeline:
    """Make the block that reports these records, such as ``ltr.record``, beside those that are stored."""
    # The node gets ltr=..., the block reads ltr_record, and outside it is called ltr.record.
    blocks = {name.removesuffix(".record"): name for name in sorted(records)}
    nodes = [
        Node(
            gather_results,
            inputs={"stored_results": "stored_results", **{block: f"{block}_record" for block in blocks}},
            outputs="results",
            name="gather_results",
        ),
        Node(build_leaderboard, inputs="results", outputs="leaderboard", name="build_leaderboard"),
        Node(draw_figures, inputs=["dense_record", "results"], outputs=FIGURES, name="draw_figures"),
        Node(draw_images, inputs="data_overview", outputs=DATA, name="draw_images"),
        Node(
            write_report,
            inputs={
                name: name
                for name in (
                    *["leaderboard", *FIGURES, *DATA],
                    *["data_overview", "dense_record", "results", "parameters"],
                )
            },
            outputs="report",
            name="write_report",
        ),
    ]
    return make_block(
        "reporting",
        nodes,
        inputs={
            **{name: name for name in ALWAYS},
            **{f"{block}_record": record for block, record in blocks.items()},
        },
        outputs=["results", "leaderboard", *FIGURES, *DATA, "report"],
    )
