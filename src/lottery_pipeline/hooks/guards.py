"""Guards around the nodes of a run: what cannot work or fails does not take the other results with it.

A block is a method, or another part of a run that the rest can do without. If one of its nodes fails, or a
result of it cannot be saved or loaded, a ``LeftOut`` takes the place of all that depends on it; the other
nodes run, and the report says what is not there. The dense run and the images, on which everything depends,
and the report itself have no guard.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any

from kedro.io import DatasetError

from lottery_pipeline.datasets.left_out import LeftOut, find_reason
from lottery_pipeline.datasets.local_files import LocalFileDataset
from lottery_pipeline.hooks.claims import REPORT, SHARED, claim_of
from lottery_pipeline.options import METHODS
from lottery_pipeline.reproducibility.storage import StorageError
from lottery_pipeline.tracking.passwords import hide
from lottery_pipeline.training.ranks import ParallelError

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node

logger = logging.getLogger(__name__)

_LONGEST_REASON = 500


class Guard:
    """The function of a node that yields ``LeftOut`` where it cannot compute.

    Args:
        function: the node's own.
        block: of the node.
        name: of the node within its block.
        outputs: how many the node has.
        left_out: why the block is left out, if it is.
        spared: blocks without whose results the node can work; it gets None for them.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        block: str,
        name: str,
        outputs: int,
        left_out: LeftOut | None,
        spared: Collection[str],
    ) -> None:
        update_wrapper(self, function)  # Kedro reads types from its signature, Kedro-Viz shows its source
        self.function, self.block, self.name, self.outputs = function, block, name, outputs
        self.left_out, self.spared = left_out, frozenset(spared)

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """Call the function, unless something that it needs is left out."""
        # What is known of this block goes before what is known of others.
        values = sorted((*inputs, *named.values()), key=lambda value: not self._is_own(value))
        reason = find_reason(self, values)
        if reason is None:
            return self._compute(
                *(None if isinstance(value, LeftOut) else value for value in inputs),
                **{name: None if isinstance(value, LeftOut) else value for name, value in named.items()},
            )
        if reason.block != self.block:
            reason = depend(self.block, reason)
            logger.warning(reason.sentence)
        return self._spread(reason)

    def __reduce__(self) -> tuple[Any, ...]:
        # Workers find the function by its name; its annotations need not travel.
        return _restore, (
            self.function,
            {
                "block": self.block,
                "name": self.name,
                "outputs": self.outputs,
                "left_out": self.left_out,
                "spared": self.spared,
            },
        )

    def _compute(self, *inputs: Any, **named: Any) -> Any:
        try:
            return self.function(*inputs, **named)
        except Exception as error:
            failure = stand_in(error, block=self.block, name=self.name)
            if failure is None:
                raise
            return self._spread(failure)

    def _is_own(self, value: Any) -> bool:
        return isinstance(value, LeftOut) and value.block == self.block

    def _spread(self, reason: LeftOut) -> Any:
        # Our nodes name a single output by a string, and several in a list.
        return reason if self.outputs == 1 else [reason] * self.outputs


def stand_in(error: Exception, *, block: str, name: str) -> LeftOut | None:
    """Log an error of a block and return what takes the place of its result; None if it ends the run.

    Args:
        error: was raised.
        block: which the run can do without.
        name: of the node within it.
    """
    if find_final_error(error) is not None:
        return None
    cause = error.__cause__ if isinstance(error, DatasetError) and error.__cause__ else error
    failure = LeftOut(block, explain(cause), name)
    known = isinstance(cause, ValueError) and type(cause).__module__.startswith("lottery_pipeline.")
    logger.error("%s The run continues without it.", failure.sentence, exc_info=None if known else error)
    return failure


def guard_nodes(
    pipeline: "Pipeline",
    catalog: "CatalogProtocol",
    left_out: Mapping[str, LeftOut],
    parameters: Mapping[str, Any],
) -> None:
    """Put a guard around each node that others can do without and its results, also those of an earlier run.

    Args:
        pipeline: what runs.
        catalog: has its datasets.
        left_out: by block, why it is not computed.
        parameters: typed groups.
    """
    for node in pipeline.nodes:
        function = node.func.function if isinstance(node.func, Guard) else node.func
        block = find_block(node)
        if block is not None:
            name = node.name.removeprefix(f"{node.namespace}.")
            for dataset in map(catalog.get, node.outputs):
                if isinstance(dataset, LocalFileDataset):
                    dataset.stand_in = partial(stand_in, block=block, name=name)
            function = Guard(
                function,
                block=block,
                name=name,
                outputs=len(node.outputs),
                left_out=left_out.get(block),
                spared=find_spared(node, parameters),
            )
        node.func = function


def find_block(node: "Node") -> str | None:
    """Return the block of a node that others can do without; None if it belongs to none."""
    claim = claim_of(node)
    return None if claim in SHARED or claim == REPORT or not node.namespace else claim


def find_spared(node: "Node", parameters: Mapping[str, Any]) -> set[str]:
    """Return the blocks without whose results a node can work.

    Nodes that gather records take what there is. A method whose options set its size needs no other ticket.
    """
    spared = {name.removesuffix(".record") for name in node.inputs if name.endswith(".record")}
    method = METHODS.get(find_block(node) or "")
    if method is not None and method.match and not parameters[method.name].extraction.needs_match:
        spared.add(method.match)
    return spared


def spread_reasons(
    pipeline: "Pipeline", left_out: Mapping[str, LeftOut], parameters: Mapping[str, Any]
) -> dict[str, LeftOut]:
    """Return what is left out, and what cannot be computed without it."""
    found = dict(left_out)
    makers = {name: find_block(node) for node in pipeline.nodes for name in node.outputs}
    for node in pipeline.nodes:  # in the order in which they need one another
        block = find_block(node)
        needed = {makers.get(name) for name in node.inputs} - {block, None}
        missing = sorted(str(other) for other in needed if other in found)
        missing = [other for other in missing if other not in find_spared(node, parameters)]
        if block is not None and block not in found and missing:
            found[block] = depend(block, found[missing[0]])
    return found


def depend(block: str, other: LeftOut) -> LeftOut:
    """Return the reason of a block that needs another one."""
    state = "failed" if other.failed else "is left out"
    return LeftOut(block, f"it needs {other.block}, which {state}: {other.reason}")


def find_failures(pipeline: "Pipeline", catalog: "CatalogProtocol") -> list[LeftOut]:
    """Return what failed in a run, in the order of its nodes; called after the last."""
    return list(dict.fromkeys(_yield_failures(pipeline, catalog)))


def _yield_failures(pipeline: "Pipeline", catalog: "CatalogProtocol") -> Iterator[LeftOut]:
    for node in pipeline.nodes:
        for dataset in map(catalog.get, node.outputs):
            left_out = dataset.left_out() if isinstance(dataset, LocalFileDataset) else None
            if left_out is not None and left_out.failed:
                yield left_out


def explain(error: BaseException) -> str:
    """Return kind and message of an error, without passwords, as the end of a sentence."""
    message = hide(" ".join(f"{type(error).__name__}: {error}".split()))
    return message[:_LONGEST_REASON].rstrip(" .:")


def find_final_error(error: BaseException) -> StorageError | ParallelError | None:
    """Return the fault of a disk or of another process behind an error, which ends the run.

    No other node could write either, or train.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (StorageError, ParallelError)):
            return cause
        cause = cause.__cause__
    return None


def _restore(function: Callable[..., Any], attributes: dict[str, Any]) -> Guard:
    return Guard(function, **attributes)
