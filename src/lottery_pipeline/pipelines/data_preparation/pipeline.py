"""Wiring of data preparation."""

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.pipelines.data_preparation.nodes import draw_images, prepare_images, profile_images


def create_pipeline() -> Pipeline:
    """Prepare images, profile them, draw some."""
    nodes = [
        Node(
            prepare_images,
            inputs=["params:data", "params:seed", "stored_images"],
            outputs="images",
            name="prepare_images",
        ),
        Node(
            profile_images, inputs="images", outputs=["data_profile", "data_summary"], name="profile_images"
        ),
        Node(draw_images, inputs="images", outputs=["data_samples", "data_class_counts"], name="draw_images"),
    ]
    return Pipeline(nodes, tags="data_preparation")
