"""Wiring of ownership verification."""

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.pipelines.blocks import make_block
from lottery_pipeline.pipelines.ownership_verification.nodes import (
    BLOCK,
    disclose,
    record_verdict,
    verify_ownership,
)

FILES = ["disclosure", "predictions"]  # of somebody else's claim
SIGNATURE = "signature_embedding"
GROUPS = [f"params:{name}" for name in (BLOCK, SIGNATURE, "device", "work")]


def create_pipeline(*, of_this_run: bool = False) -> Pipeline:
    """Verify a suspect against a release; neither images nor a dense run are needed.

    Args:
        of_this_run: verify the ticket that this run signs. Otherwise release and suspect are files.
    """
    made = {"release": f"{SIGNATURE}.release", "suspect": f"{SIGNATURE}.trained_ticket"}
    stored = {"release": "claimed_release", "suspect": "suspect"}
    files = [] if of_this_run else FILES
    nodes = [
        Node(
            verify_ownership,
            inputs=["release", "suspect", "owner", *GROUPS, *files],
            outputs="ownership",
            name="verify_ownership",
        ),
        Node(record_verdict, inputs=["ownership", "params:device"], outputs="record", name="record_verdict"),
    ]
    return make_block(
        BLOCK,
        nodes,
        inputs={**(made if of_this_run else stored), **{name: name for name in ("owner", *files)}},
        outputs=["ownership"],
        parameters=GROUPS,
    )


def create_disclosure() -> Pipeline:
    """Reveal what a judge needs to verify the claim; never a part of another pipeline."""
    node = Node(
        disclose,
        inputs=["release", "images", "owner", f"params:{SIGNATURE}"],
        outputs="disclosure",
        name="disclose",
    )
    return make_block(
        "ownership_disclosure",
        [node],
        inputs={"release": "claimed_release", "images": "images", "owner": "owner"},
        outputs=["disclosure"],
        parameters=[f"params:{SIGNATURE}"],
    )
