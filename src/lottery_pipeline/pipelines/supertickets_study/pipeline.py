"""Wiring of the SuperTickets study."""

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.pipelines.blocks import make_block
from lottery_pipeline.pipelines.supertickets_study.nodes import (
    BLOCK,
    record_study,
    summarise_arms,
    train_arms,
)

GROUPS = [BLOCK, "supertickets.extraction", "model", "pretraining", "retraining", "device", "work"]


def create_pipeline() -> Pipeline:
    """Train the arms that ``supertickets_study`` names, and compare them over seeds."""
    parameters = [f"params:{name}" for name in GROUPS]
    nodes = [
        Node(train_arms, inputs=["images", "dense_run", *parameters], outputs="rows", name="train_arms"),
        Node(summarise_arms, inputs="rows", outputs=["table", "figure"], name="summarise_arms"),
        Node(
            record_study,
            inputs=["rows", "table", "figure", "params:device"],
            outputs="record",
            name="record_study",
        ),
    ]
    return make_block(
        BLOCK, nodes, inputs={"images": "images", "dense_run": "dense_run"}, parameters=parameters
    )
