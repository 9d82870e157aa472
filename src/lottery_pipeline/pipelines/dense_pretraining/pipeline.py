"""Wiring of dense pretraining."""

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.pipelines.dense_pretraining.nodes import pretrain_dense


def create_pipeline() -> Pipeline:
    """Train the dense network; keep its weights at three moments, and a record of its metrics and history."""
    parameters = ["model", "pretraining", "seed", "device", "work"]
    # One node: the methods wait for the weights alone, and would run before one that only makes the record.
    node = Node(
        pretrain_dense,
        inputs=["images", *(f"params:{name}" for name in parameters)],
        outputs=["dense_run", "dense_record"],
        name="pretrain_dense",
    )
    return Pipeline(
        [node], namespace="dense_pretraining", prefix_datasets_with_namespace=False, tags="dense_pretraining"
    )
