"""Pipelines that read what others make: in whatever order they are added."""

from itertools import permutations

import pytest
from kedro.pipeline import Node, Pipeline

from lottery_pipeline.pipelines.gathering import Gatherer, GatheringPipeline


def make(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "")


def create(tag: str, output: str):
    def create_nodes(names):
        return Pipeline([Node(make, inputs=["x", *sorted(names)], outputs=output, name=tag, tags=tag)])

    return create_nodes


def gather(tag: str, suffix: str, order: int, output: str) -> GatheringPipeline:
    return GatheringPipeline([], [Gatherer(tag, suffix, order, create(tag, output))])


def method(name: str) -> Pipeline:
    return Pipeline([Node(make, inputs="x", outputs=f"{name}_ticket", name=name, tags=name)])


MEASURE = gather("measure", "_ticket", 1, "measure_record")
REPORT = gather("report", "_record", 2, "page")


def inputs_of(pipeline: Pipeline, name: str) -> set[str]:
    (node,) = [node for node in pipeline.nodes if node.name == name]
    return set(node.inputs)


@pytest.mark.parametrize("parts", list(permutations([MEASURE, REPORT, method("a"), method("b")])))
def test_each_reads_what_those_before_it_make(parts: tuple[Pipeline, ...]) -> None:
    whole = sum(parts)
    assert inputs_of(whole, "measure") == {"x", "a_ticket", "b_ticket"}
    assert inputs_of(whole, "report") == {"x", "measure_record"}
    assert len(whole.nodes) == 4


def test_alone_it_reads_what_is_stored() -> None:
    assert inputs_of(MEASURE, "measure") == {"x"}
    assert inputs_of(MEASURE + REPORT, "report") == {"x", "measure_record"}


def test_only_pipelines_can_be_added() -> None:
    with pytest.raises(TypeError):
        MEASURE + 1
