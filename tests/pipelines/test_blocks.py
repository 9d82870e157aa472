"""Blocks: what lies in them, and what they hand on."""

from kedro.pipeline import Node

from lottery_pipeline.evaluation.lineage import collect_record
from lottery_pipeline.pipelines.blocks import make_block, make_record


def measure(images: str, match: str, seed: int, own: int) -> tuple[dict[str, int], list[str]]:
    return {"seed": seed, "own": own}, [images, match]


BLOCK = make_block(
    "toy",
    [
        Node(
            measure, ["images", "match", "params:seed", "params:own"], ["metrics", "history"], name="measure"
        ),
        make_record(["metrics", "history"]),
    ],
    inputs={"images": "images", "match": "other.ticket"},
    parameters=["params:seed"],
)


def test_a_block_reads_what_is_shared_and_prefixes_what_is_its_own() -> None:
    assert BLOCK.inputs() == {"images", "other.ticket", "params:seed", "params:toy.own"}
    assert BLOCK.all_outputs() == {"toy.metrics", "toy.history", "toy.record"}
    assert {node.name for node in BLOCK.nodes} == {"toy.measure", "toy.collect_record"}
    assert all("toy" in node.tags for node in BLOCK.nodes)


def test_only_the_record_leaves_it() -> None:
    assert BLOCK.outputs() == {"toy.record"}
    (last,) = [node for node in BLOCK.nodes if node.name == "toy.collect_record"]
    assert last.func is collect_record
    assert last.run({"toy.metrics": {"a": 1}, "toy.history": [{"b": 2}]}) == {
        "toy.record": {"metrics": {"a": 1}, "history": [{"b": 2}]}
    }


def test_an_output_may_go_without_its_prefix() -> None:
    node = Node(lambda images: images, "images", "table", name="tabulate")
    assert make_block("toy", [node], inputs={"images": "images"}, outputs=["table"]).outputs() == {"table"}
