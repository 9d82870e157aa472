"""Wiring of the sanity checks."""

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.pipelines.sanity_checks.nodes import check_sanity, summarise_sanity


def create_pipeline() -> Pipeline:
    """Check the methods that ``sanity_checks`` names, and judge them over seeds."""
    nodes = [
        Node(
            check_sanity,
            inputs=[
                "images",
                "dense_run",
                "params:sanity_checks",
                "params:model",
                "params:pretraining",
                "params:retraining",
                "parameters",
                "params:device",
                "checkpoints",
            ],
            outputs="sanity_rows",
            name="check_sanity",
        ),
        Node(
            summarise_sanity,
            inputs="sanity_rows",
            outputs=["sanity_checks_table", "sanity_checks_figure"],
            name="summarise_sanity",
        ),
    ]
    return Pipeline(nodes, tags="sanity_checks")
