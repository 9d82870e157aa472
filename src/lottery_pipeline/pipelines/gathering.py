"""Pipelines that read what the pipelines they are added to make, such as the report."""

from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

from kedro.pipeline import Node, Pipeline


class Gatherer(NamedTuple):
    """A block that reads datasets of many other blocks.

    Attributes:
        tag: of its nodes.
        suffix: of the datasets that it reads, such as ``.record``.
        order: a gatherer reads what those of lower order make.
        create: makes its nodes, given the names of those datasets.
    """

    tag: str
    suffix: str
    order: int
    create: Callable[[Collection[str]], Pipeline]


class GatheringPipeline(Pipeline):
    """A pipeline that reads, of the pipelines it is added to, what they make.

    ``kedro run --pipelines ltr,reporting`` adds pipelines up. Reporting on its own reads what is stored, so
    it would not wait for ``ltr``.

    Args:
        nodes: of other blocks.
        gatherers: whose nodes are made here.
    """

    def __init__(self, nodes: Iterable[Node], gatherers: Iterable[Gatherer]) -> None:
        self.gatherers = {gatherer.tag: gatherer for gatherer in gatherers}
        every = {node for node in nodes if not node.tags & self.gatherers.keys()}
        for gatherer in sorted(self.gatherers.values(), key=lambda gatherer: gatherer.order):
            made = {name for node in every for name in node.outputs if name.endswith(gatherer.suffix)}
            every.update(gatherer.create(made).nodes)
        super().__init__(list(every))

    def __add__(self, other: Any) -> Pipeline:
        """Add pipelines before those that read them, in whatever order they come."""
        if not isinstance(other, Pipeline):
            return NotImplemented
        others = other.gatherers.values() if isinstance(other, GatheringPipeline) else ()
        return GatheringPipeline([*self.nodes, *other.nodes], [*self.gatherers.values(), *others])

    # Python asks a subclass on the right first, but only if it has a method of its own for that.
    def __radd__(self, other: Any) -> Pipeline:
        """Add pipelines before those that read them, in whatever order they come."""
        return self if other == 0 else self.__add__(other)
