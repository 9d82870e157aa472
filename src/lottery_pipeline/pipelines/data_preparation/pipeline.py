"""Wiring of data preparation."""

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.pipelines.data_preparation.nodes import describe_images, prepare_images


def create_pipeline() -> Pipeline:
    """Prepare images and describe them."""
    nodes = [
        Node(
            prepare_images,
            inputs=["raw_images", "params:data", "params:seed", "params:work"],
            outputs="images",
            name="prepare_images",
        ),
        Node(describe_images, inputs="images", outputs="data_overview", name="describe_images"),
    ]
    return Pipeline(
        nodes, namespace="data_preparation", prefix_datasets_with_namespace=False, tags="data_preparation"
    )
