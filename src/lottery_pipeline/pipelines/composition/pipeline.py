"""Wiring of composition: for every parent and method the template (extract, retrain, evaluate) once more."""

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.options import COMPOSED_OPTIONS
from lottery_pipeline.pipelines.composition import nodes
from lottery_pipeline.pipelines.ticket_extraction.pipeline import (
    SHARED_INPUTS,
    SHARED_PARAMETERS,
    TRAINING,
    create_evaluation,
    create_retraining,
    in_namespace,
)

COMPOSITIONS = tuple(COMPOSED_OPTIONS)  # names of namespaces: <parent>_<method>


def create_parent(parent: str) -> Pipeline:
    """Train the ticket of a method as the dense network of what is to start from it."""
    return Pipeline(
        [
            Node(
                nodes.pretrain_parent,
                inputs=["ticket", "images", "stored_parent_run", *TRAINING],
                outputs="parent_run",
                name="pretrain_parent",
                tags="composition",
            )
        ],
        namespace=parent,
        inputs=SHARED_INPUTS - {"dense_run"},
        parameters=SHARED_PARAMETERS - {"params:model", "params:costs"},
        tags=parent,
    )


def create_composition(name: str) -> Pipeline:
    """Instantiate the template for a method within the ticket of a parent; ``name`` is <parent>_<method>."""
    parent, _, method = name.partition("_")
    steps = [
        Node(
            getattr(nodes, f"compose_{method}"),
            inputs=[
                "images",
                "dense_run",
                "parent",
                "parent_run",
                "parent_search",
                "params:extraction",
                "params:model",
                *TRAINING,
            ],
            outputs=["ticket", "search", "trace"],
            name="extract_ticket",
            tags="composition",
        ),
        create_retraining(),
        create_evaluation(),
    ]
    inputs = {
        **{shared: shared for shared in SHARED_INPUTS},
        "parent": f"{parent}.ticket",
        "parent_run": f"{parent}.parent_run",
        "parent_search": f"{parent}.search",
    }
    return in_namespace(name, steps, inputs)
