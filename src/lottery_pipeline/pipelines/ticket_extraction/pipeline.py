"""Wiring of the methods: one template, one line in METHODS for each method."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.pipelines.ticket_extraction.nodes import (
    complete_ladder,
    evaluate_ticket,
    extract_lth,
    extract_ltr,
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
    """

    name: str
    extract: Callable[..., Any]
    has_ladder: bool = False


METHODS = (
    Method("lth", extract_lth, has_ladder=True),
    Method("ltr", extract_ltr, has_ladder=True),
)

TRAINING = ["params:pretraining", "params:retraining", "params:seed", "params:device", "checkpoints"]
SHARED_INPUTS = {"images", "dense_run", "checkpoints"}
SHARED_PARAMETERS = {
    "params:model",
    "params:pretraining",
    "params:retraining",
    "params:seed",
    "params:device",
}


def create_method(method: Method) -> Pipeline:
    """Instantiate the template for a method, with its name as namespace."""
    nodes = [
        Node(
            method.extract,
            inputs=["images", "dense_run", "params:extraction", "params:model", *TRAINING],
            outputs=["ticket", "search", "trace", *(["ladder"] if method.has_ladder else [])],
            name="extract_ticket",
            tags="ticket_extraction",
        ),
        Node(
            retrain_ticket,
            inputs=["ticket", "images", *TRAINING],
            outputs=["trained_ticket", "history"],
            name="retrain_ticket",
            tags="sparse_retraining",
        ),
        create_evaluation(),
    ]
    if method.has_ladder:
        nodes += [
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
    return Pipeline(
        nodes, namespace=method.name, inputs=SHARED_INPUTS, parameters=SHARED_PARAMETERS, tags=method.name
    )


def create_evaluation() -> Node:
    """Make the node that measures a trained ticket."""
    return Node(
        evaluate_ticket,
        inputs=["trained_ticket", "ticket", "images", "dense_run", "history", "search", "params:device"],
        outputs="metrics",
        name="evaluate_ticket",
        tags="evaluation",
    )
