"""Wiring of the sanity checks."""

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.pipelines.blocks import make_block
from lottery_pipeline.pipelines.sanity_checks.nodes import check_sanity, record_sanity, summarise_sanity


def create_pipeline() -> Pipeline:
    """Check the methods that ``sanity_checks`` names, and judge them over seeds."""
    groups = ["sanity_checks", "model", "pretraining", "retraining"]
    shared = [f"params:{name}" for name in (*groups, "device", "work")]
    nodes = [
        Node(
            check_sanity,
            inputs=[
                "images",
                "dense_run",
                *(f"params:{name}" for name in groups),
                "parameters",
                "params:device",
                "params:work",
            ],
            outputs="sanity_rows",
            name="check_sanity",
        ),
        Node(summarise_sanity, inputs="sanity_rows", outputs="sanity_checks_table", name="summarise_sanity"),
        Node(
            record_sanity,
            inputs=["sanity_rows", "sanity_checks_table", "params:device"],
            outputs="record",
            name="record_sanity",
        ),
    ]
    return make_block(
        "sanity_checks",
        nodes,
        inputs={"images": "images", "dense_run": "dense_run"},
        outputs=["sanity_rows", "sanity_checks_table"],
        parameters=shared,
    )
