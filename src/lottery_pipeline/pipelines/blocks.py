"""What every block of the drawn pipeline has: a namespace around all it makes, and one record of it."""

import warnings
from collections.abc import Iterable, Mapping

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.evaluation.lineage import collect_record


def make_block(
    name: str,
    nodes: Iterable[Node],
    *,
    inputs: Mapping[str, str],
    outputs: Iterable[str] = (),
    parameters: Iterable[str] = (),
) -> Pipeline:
    """Put nodes into a namespace.

    Args:
        name: of the block: the prefix of its nodes and datasets, and their tag.
        nodes: with the names that are valid inside.
        inputs: the name outside by the name inside, for what the block reads from others.
        outputs: what the block makes without its prefix.
        parameters: what it shares with other blocks.
    """
    with warnings.catch_warnings():
        # Kedro warns about names with a dot outside their namespace, such as the ticket of another method.
        warnings.filterwarnings("ignore", "One or more dataset names contain '.'", UserWarning)
        return Pipeline(
            list(nodes),
            namespace=name,
            inputs=dict(inputs),
            outputs=set(outputs),
            parameters=set(parameters),
            tags=name,
        )


def make_record(parts: Iterable[str]) -> Node:
    """Make the last node of a block, which collects what the block has measured.

    Kedro-Viz draws outside a block what no node of the block reads, so the record takes everything.

    Args:
        parts: datasets such as ``metrics`` and ``history``.
    """
    return Node(
        collect_record,
        inputs={part: part for part in parts},
        outputs="record",
        name="collect_record",
        tags="evaluation",
    )
