"""Wiring of the methods: one template (extract, retrain, evaluate) for each row of the table of methods."""

from collections.abc import Mapping

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.options import COMPOSITIONS, METHODS, Method
from lottery_pipeline.pipelines.blocks import make_block, make_record
from lottery_pipeline.pipelines.ticket_extraction.nodes import (
    EXTRACTIONS,
    complete_ladder,
    describe_architecture,
    evaluate_ticket,
    pretrain_parent,
    pretrain_supernet,
    retrain_ticket,
    tabulate_blocks,
    train_controls,
)

TRAINING = ["params:pretraining", "params:retraining", "params:seed", "params:device", "params:work"]
SHARED_INPUTS = {"images": "images", "dense_run": "dense_run"}
SHARED_PARAMETERS = {*TRAINING, "params:model", "params:costs"}
PARTS = ("metrics", "history", "trace")
LADDER_PARTS = ("ladder_table", "controls")


def create_methods() -> dict[str, Pipeline]:
    """Return the block of every method by its name, without the images and the dense run it starts from."""
    return {name: create_method(method) for name, method in METHODS.items()}


def complete_method(name: str, blocks: Mapping[str, Pipeline]) -> Pipeline:
    """Return a method's block with the search of the method that it matches, and with those that match it."""
    matched = METHODS[name].match
    followers = [follower for follower, other in METHODS.items() if other.match == name]
    search = [blocks[matched].only_nodes_with_tags("ticket_extraction")] if matched else []
    return Pipeline([*search, blocks[name], *(blocks[follower] for follower in followers)])


def create_method(method: Method) -> Pipeline:
    """Instantiate the template for a method, with its name as namespace."""
    if method.own_network:
        return create_own_network(method)
    parts = [*PARTS, *(LADDER_PARTS if method.has_ladder else ())]
    steps = [
        create_extraction(method, ["match"] if method.match else [], ["ladder"] if method.has_ladder else []),
        create_retraining(),
        create_evaluation(),
        make_record(parts),
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
            create_controls(),
        ]
    match = {"match": f"{method.match}.ticket"} if method.match else {}
    return make_block(method.name, steps, inputs=SHARED_INPUTS | match, parameters=SHARED_PARAMETERS)


def create_own_network(method: Method) -> Pipeline:
    """Instantiate the template for a method with a network of its own, which is trained whole first."""
    pretraining = Node(
        pretrain_supernet,
        inputs=["images", "dense_run", "params:extraction", "params:model", *TRAINING],
        outputs="parent_run",
        name="pretrain_supernet",
        tags="ticket_extraction",
    )
    steps = [
        pretraining,
        create_extraction(method, ["match"], ["ladder"], dense="parent_run", match="dense_run"),
        Node(
            describe_architecture,
            inputs="ticket",
            outputs="architecture",
            name="describe_architecture",
            tags="ticket_extraction",
        ),
        Node(
            tabulate_blocks,
            inputs=["architecture", "ticket"],
            outputs="blocks",
            name="tabulate_blocks",
            tags="evaluation",
        ),
        create_retraining(),
        create_evaluation(dense="parent_run"),
        create_controls(dense="parent_run"),
        make_record([*PARTS, "controls", "blocks"]),
    ]
    return make_block(method.name, steps, inputs=SHARED_INPUTS, parameters=SHARED_PARAMETERS)


def create_chain(name: str) -> Pipeline:
    """Return a composition with the search of its parent and the training of the parent's ticket."""
    parent, _ = COMPOSITIONS[name]
    search = create_method(METHODS[parent]).only_nodes_with_tags("ticket_extraction")
    return Pipeline([search, create_parent(parent), create_composition(name)])


def create_parent(parent: str) -> Pipeline:
    """Train the ticket of a method as the dense network of the methods on top of it."""
    node = Node(
        pretrain_parent,
        inputs=["ticket", "images", *TRAINING],
        outputs="parent_run",
        name="pretrain_parent",
        tags="composition",
    )
    return make_block(parent, [node], inputs={"images": "images"}, parameters=TRAINING)


def create_composition(name: str) -> Pipeline:
    """Instantiate the template for a method within the ticket of a parent; ``name`` is <parent>_<method>."""
    parent, method = COMPOSITIONS[name]
    inherited = {
        "parent": f"{parent}.ticket",
        "parent_run": f"{parent}.parent_run",
        "parent_search": f"{parent}.search",
    }
    steps = [
        create_extraction(method, list(inherited), [], tag="composition"),
        create_retraining(),
        create_evaluation(),
        make_record(PARTS),
    ]
    return make_block(name, steps, inputs=SHARED_INPUTS | inherited, parameters=SHARED_PARAMETERS)


def create_extraction(
    method: Method,
    inputs: list[str],
    outputs: list[str],
    *,
    tag: str = "ticket_extraction",
    dense: str = "dense_run",
    match: str = "match",
) -> Node:
    """Make the node that finds a ticket; inputs and outputs are added to those that every method has.

    Args:
        method: its row.
        inputs: of these, ``match`` may have another name in the block.
        outputs: such as ``ladder``.
        tag: of the node.
        dense: name of the dense run that is searched.
        match: name of what sets the size of the ticket.
    """
    parameters = ["extraction", "model", "pretraining", "retraining", "seed", "device", "work"]
    names = {"images": "images", "dense_run": dense, **{name: name for name in inputs}}
    return Node(
        EXTRACTIONS[method.name],
        inputs={
            **names,
            **({"match": match} if "match" in inputs else {}),
            **{name: f"params:{name}" for name in parameters},
        },
        outputs=["ticket", "search", "trace", *outputs],
        name="extract_ticket",
        tags=tag,
    )


def create_retraining() -> Node:
    """Make the node that trains a ticket."""
    return Node(
        retrain_ticket,
        inputs=["ticket", "images", *TRAINING],
        outputs=["trained_ticket", "history"],
        name="retrain_ticket",
        tags="sparse_retraining",
    )


def create_controls(dense: str = "dense_run") -> Node:
    """Make the node that trains what a ticket must beat; ``dense`` is the dense run it was found in."""
    return Node(
        train_controls,
        inputs=["ladder", "images", dense, "params:controls", *TRAINING],
        outputs="controls",
        name="train_controls",
        tags="controls",
    )


def create_evaluation(dense: str = "dense_run") -> Node:
    """Make the node that measures a trained ticket; ``dense`` is the dense run it is compared with."""
    return Node(
        evaluate_ticket,
        inputs=[
            *["trained_ticket", "ticket", "images", dense, "history", "search"],
            *["params:costs", "params:device"],
        ],
        outputs="metrics",
        name="evaluate_ticket",
        tags="evaluation",
    )
