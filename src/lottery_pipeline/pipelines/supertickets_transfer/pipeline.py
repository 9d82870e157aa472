"""Wiring of the transfer of SuperTickets between tasks."""

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.pipelines.blocks import make_block
from lottery_pipeline.pipelines.supertickets_transfer.nodes import (
    BLOCK,
    record_transfers,
    summarise_transfers,
    train_transfers,
)

FILES = ["raw_images", "images", "dense_run"]
GROUPS = [
    *(BLOCK, "supertickets.extraction", "data", "pretraining", "retraining"),
    *("seed", "device", "work"),
]


def create_pipeline() -> Pipeline:
    """Move SuperTickets between the tasks that ``supertickets_transfer`` names, and compare over seeds."""
    parameters = [f"params:{name}" for name in GROUPS]
    nodes = [
        Node(train_transfers, inputs=[*FILES, *parameters], outputs="rows", name="train_transfers"),
        Node(summarise_transfers, inputs="rows", outputs=["table", "figure"], name="summarise_transfers"),
        Node(
            record_transfers,
            inputs=["rows", "table", "figure", "params:device"],
            outputs="record",
            name="record_transfers",
        ),
    ]
    return make_block(BLOCK, nodes, inputs={name: name for name in FILES}, parameters=parameters)
