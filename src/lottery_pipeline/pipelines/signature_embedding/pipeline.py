"""Wiring of signature embedding."""

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.pipelines.blocks import make_block, make_record
from lottery_pipeline.pipelines.signature_embedding.nodes import (
    BLOCK,
    commit_if_possible,
    commit_ticket,
    publish_ticket,
    read_back,
    retrain_ticket,
    sign_ticket,
)

OPTIONS = f"params:{BLOCK}"
TRAINING = ["params:pretraining", "params:retraining", "params:seed", "params:device", "params:work"]


def create_pipeline(ticket: str = "ticket_to_sign", *, if_possible: bool = False) -> Pipeline:
    """Sign a ticket: commit, mark, train, publish, read back.

    Args:
        ticket: the dataset of the ticket that is signed.
        if_possible: go without a signature if the ticket has no room for one; otherwise the run ends.
    """
    nodes = [
        Node(
            commit_if_possible if if_possible else commit_ticket,
            inputs=["unsigned", "images", "owner", OPTIONS, "params:work"],
            outputs="commitment",
            name="commit_ticket",
        ),
        Node(
            sign_ticket,
            inputs=[
                *["unsigned", "dense_run", "images", "commitment", "owner"],
                *[OPTIONS, "params:seed", "params:device", "params:work"],
            ],
            outputs=["ticket", "mark"],
            name="sign_ticket",
        ),
        Node(
            retrain_ticket,
            inputs=["ticket", "images", "commitment", "mark", "owner", OPTIONS, *TRAINING],
            outputs=["trained_ticket", "history"],
            name="retrain_ticket",
        ),
        Node(
            publish_ticket,
            inputs=["trained_ticket", "images", "commitment", "mark", "owner", OPTIONS, "params:device"],
            outputs="release",
            name="publish_ticket",
        ),
        Node(
            read_back,
            inputs=["release", "unsigned", "images", "mark", "owner", OPTIONS, "params:device"],
            outputs="metrics",
            name="read_back",
        ),
        make_record(["metrics", "history"]),
    ]
    return make_block(
        BLOCK,
        nodes,
        inputs={"unsigned": ticket, **{name: name for name in ("images", "dense_run", "owner")}},
        parameters=[OPTIONS, *TRAINING],
    )
