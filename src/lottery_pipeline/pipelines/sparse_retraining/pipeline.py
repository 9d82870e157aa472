"""Wiring of sparse retraining."""

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.pipelines.sparse_retraining.nodes import retrain_ticket, select_ticket
from lottery_pipeline.pipelines.ticket_extraction.pipeline import create_evaluation


def create_pipeline() -> Pipeline:
    """Select a stored ticket, train it, measure it."""
    nodes = [
        Node(
            select_ticket,
            inputs=["selected_ticket", "selected_ladder", "selected_search", "params:sparse_retraining"],
            outputs=["ticket", "search"],
            name="select_ticket",
            tags="sparse_retraining",
        ),
        Node(
            retrain_ticket,
            inputs=[
                "ticket",
                "images",
                "params:pretraining",
                "params:sparse_retraining",
                "params:seed",
                "params:device",
                "checkpoints",
            ],
            outputs=["trained_ticket", "history"],
            name="retrain_ticket",
            tags="sparse_retraining",
        ),
        create_evaluation(),
    ]
    return Pipeline(
        nodes,
        namespace="sparse_retraining",
        inputs={
            "selected_ticket",
            "selected_ladder",
            "selected_search",
            "images",
            "dense_run",
            "checkpoints",
        },
        parameters={
            "params:pretraining",
            "params:sparse_retraining",
            "params:costs",
            "params:seed",
            "params:device",
        },
    )
