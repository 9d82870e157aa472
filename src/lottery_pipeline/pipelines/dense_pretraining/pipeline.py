"""Wiring of dense pretraining."""

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.pipelines.dense_pretraining.nodes import pretrain_dense


def create_pipeline() -> Pipeline:
    """Train the dense network and keep its weights at three moments, its history and its metrics."""
    node = Node(
        pretrain_dense,
        inputs=[
            "images",
            "stored_dense_run",
            "params:model",
            "params:pretraining",
            "params:seed",
            "params:device",
            "checkpoints",
        ],
        outputs=["dense_run", "dense_history", "dense_metrics"],
        name="pretrain_dense",
    )
    return Pipeline([node], tags="dense_pretraining")
