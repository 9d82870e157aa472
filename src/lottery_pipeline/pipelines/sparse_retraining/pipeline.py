"""Wiring of sparse retraining."""

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.pipelines.blocks import make_block, make_record
from lottery_pipeline.pipelines.sparse_retraining.nodes import retrain_ticket, select_ticket
from lottery_pipeline.pipelines.ticket_extraction.pipeline import create_evaluation

SELECTED = ("selected_ticket", "selected_ladder", "selected_search")


def create_pipeline() -> Pipeline:
    """Select a stored ticket, train it, measure it."""
    groups = ["pretraining", "sparse_retraining", "seed", "device", "work"]
    nodes = [
        Node(
            select_ticket,
            inputs=[*SELECTED, "params:sparse_retraining"],
            outputs=["ticket", "search"],
            name="select_ticket",
            tags="sparse_retraining",
        ),
        Node(
            retrain_ticket,
            inputs=["ticket", "images", *(f"params:{name}" for name in groups)],
            outputs=["trained_ticket", "history"],
            name="retrain_ticket",
            tags="sparse_retraining",
        ),
        create_evaluation(),
        make_record(["metrics", "history"]),
    ]
    return make_block(
        "sparse_retraining",
        nodes,
        inputs={name: name for name in (*SELECTED, "images", "dense_run")},
        parameters=[f"params:{name}" for name in (*groups, "costs")],
    )
