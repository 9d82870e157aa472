"""Wiring of the robustness evaluation."""

from collections.abc import Collection

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.options.methods import TICKET_BLOCKS
from lottery_pipeline.pipelines.blocks import make_block
from lottery_pipeline.pipelines.gathering import Gatherer, GatheringPipeline
from lottery_pipeline.pipelines.robustness_evaluation.nodes import (
    BLOCK,
    draw_robustness,
    evaluate_robustness,
    record_robustness,
    tabulate_robustness,
)

FIGURES = ["eps_curves", "heat_map", "corruptions", "reliability"]
PARAMETERS = [f"params:{name}" for name in (BLOCK, "model", "seed", "device", "work")]


def create_pipeline() -> Pipeline:
    """Measure the dense network and all trained tickets that there are."""
    return GatheringPipeline([], [Gatherer(BLOCK, ".record", order=1, create=create_nodes)])


def create_nodes(records: Collection[str]) -> Pipeline:
    """Make the block that measures the tickets of these records, such as ``ltr.record``, and stored ones.

    The record of a block comes after its trained ticket and names it. One more edge for each ticket would
    make the drawn pipeline unreadable.
    """
    # The node gets ltr=..., the block reads ltr_record, and outside it is called ltr.record.
    blocks = {name.removesuffix(".record"): name for name in sorted(records)}
    blocks = {block: name for block, name in blocks.items() if block in TICKET_BLOCKS}
    files = {name: name for name in ("images", "dense_run", "stored_tickets")}
    nodes = [
        Node(
            evaluate_robustness,
            inputs={
                **files,
                **{name.removeprefix("params:"): name for name in PARAMETERS},
                **{block: f"{block}_record" for block in blocks},
            },
            outputs="evaluation",
            name="evaluate_robustness",
        ),
        Node(tabulate_robustness, inputs="evaluation", outputs="robustness", name="tabulate_robustness"),
        Node(draw_robustness, inputs="evaluation", outputs=FIGURES, name="draw_robustness"),
        Node(
            record_robustness,
            inputs=["evaluation", "robustness", *FIGURES],
            outputs="record",
            name="record_robustness",
        ),
    ]
    return make_block(
        BLOCK,
        nodes,
        inputs=files | {f"{block}_record": name for block, name in blocks.items()},
        outputs=["robustness"],
        parameters=PARAMETERS,
    )
