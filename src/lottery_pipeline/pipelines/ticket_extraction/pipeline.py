"""Wiring of the methods: one template, one line in METHODS for each method."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.pipelines.ticket_extraction import nodes
from lottery_pipeline.pipelines.ticket_extraction.nodes import (
    complete_ladder,
    evaluate_ticket,
    retrain_ticket,
    train_controls,
)


@dataclass(frozen=True)
class Method:
    """A method of ticket extraction.

    Attributes:
        name: namespace of its nodes, parameters and results.
        extract: node function; returns ticket, search costs and trace, and the ladder where it has one.
        has_ladder: whether the method is iterative, with a ticket on every rung.
        by_default: whether a run that names no pipeline includes it.
        match: the method whose ticket it is to equal in size.
    """

    name: str
    extract: Callable[..., Any]
    has_ladder: bool = False
    by_default: bool = False
    match: str | None = None


METHODS = (
    Method("lth", nodes.extract_lth, has_ladder=True, by_default=True),
    Method("ltr", nodes.extract_ltr, has_ladder=True, by_default=True),
    Method("cts", nodes.extract_cts, by_default=True),
    Method("snip", nodes.extract_snip, by_default=True),
    Method("grasp", nodes.extract_grasp, by_default=True),
    Method("synflow", nodes.extract_synflow, by_default=True),
    Method("magnitude", nodes.extract_magnitude),
    Method("random", nodes.extract_random),
    Method("edge_popup", nodes.extract_edge_popup),
    Method("gem_miner", nodes.extract_gem_miner),
    Method("prospr", nodes.extract_prospr),
    Method("layer", nodes.extract_layer, by_default=True),
    Method("filter", nodes.extract_filter, by_default=True, match="layer"),
)
SALIENCY = ("snip", "grasp", "synflow", "magnitude", "random")

TRAINING = ["params:pretraining", "params:retraining", "params:seed", "params:device", "checkpoints"]
SHARED_INPUTS = {"images", "dense_run", "checkpoints"}
SHARED_PARAMETERS = {
    "params:model",
    "params:pretraining",
    "params:retraining",
    "params:costs",
    "params:seed",
    "params:device",
}


def create_method(method: Method) -> Pipeline:
    """Instantiate the template for a method, with its name as namespace."""
    steps = [
        Node(
            method.extract,
            inputs=[
                *["images", "dense_run", "params:extraction", "params:model", *TRAINING],
                *(["match"] if method.match else []),
            ],
            outputs=["ticket", "search", "trace", *(["ladder"] if method.has_ladder else [])],
            name="extract_ticket",
            tags="ticket_extraction",
        ),
        create_retraining(),
        create_evaluation(),
    ]
    if method.has_ladder:
        steps += [
            Node(
                complete_ladder,
                inputs=["ladder", "metrics"],
                outputs="ladder_table",
                name="complete_ladder",
                tags="evaluation",
            ),
            Node(
                train_controls,
                inputs=["ladder", "images", "dense_run", "params:controls", *TRAINING],
                outputs="controls",
                name="train_controls",
                tags="controls",
            ),
        ]
    inputs = {name: name for name in SHARED_INPUTS}
    if method.match:
        inputs["match"] = f"{method.match}.ticket"
    return in_namespace(method.name, steps, inputs)


def in_namespace(name: str, steps: list[Node], inputs: dict[str, str]) -> Pipeline:
    """Put nodes into a namespace, with the parameters that all methods share."""
    with warnings.catch_warnings():
        # Kedro warns of names with a dot outside their namespace: tickets of other methods.
        warnings.filterwarnings("ignore", "One or more dataset names contain '.'", UserWarning)
        return Pipeline(steps, namespace=name, inputs=inputs, parameters=SHARED_PARAMETERS, tags=name)


def create_retraining() -> Node:
    """Make the node that trains a ticket."""
    return Node(
        retrain_ticket,
        inputs=["ticket", "images", *TRAINING],
        outputs=["trained_ticket", "history"],
        name="retrain_ticket",
        tags="sparse_retraining",
    )


def create_evaluation() -> Node:
    """Make the node that measures a trained ticket."""
    return Node(
        evaluate_ticket,
        inputs=[
            *["trained_ticket", "ticket", "images", "dense_run", "history", "search"],
            *["params:costs", "params:device"],
        ],
        outputs="metrics",
        name="evaluate_ticket",
        tags="evaluation",
    )
