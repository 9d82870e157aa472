"""Wiring of the attacks on a signed ticket."""

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.pipelines.blocks import make_block
from lottery_pipeline.pipelines.ownership_attacks.nodes import (
    BLOCK,
    record_attacks,
    run_attacks,
    tabulate_attacks,
)

FILES = {
    "release": "claimed_release",
    "unsigned": "ticket_to_sign",
    "dense_run": "dense_run",
    "images": "images",
    "owner": "owner",
}
GROUPS = [BLOCK, "signature_embedding", "pretraining", "retraining", "seed", "device", "work"]


def create_pipeline() -> Pipeline:
    """Attack the signed ticket of this variant."""
    parameters = [f"params:{name}" for name in GROUPS]
    nodes = [
        Node(run_attacks, inputs=[*FILES, *parameters], outputs="attack_rows", name="run_attacks"),
        Node(
            tabulate_attacks,
            inputs="attack_rows",
            outputs=["attacks", "attacks_figure"],
            name="tabulate_attacks",
        ),
        Node(
            record_attacks,
            inputs=["attack_rows", "attacks", "params:device"],
            outputs="record",
            name="record_attacks",
        ),
    ]
    return make_block(
        BLOCK,
        nodes,
        inputs=FILES,
        outputs=["attack_rows", "attacks", "attacks_figure"],
        parameters=parameters,
    )
