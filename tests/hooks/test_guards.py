"""Guards: a block that fails or is left out takes no other block with it, whatever runs the nodes."""

import json
import pickle
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from kedro.io import DataCatalog, DatasetError
from kedro.io.data_catalog import SharedMemoryDataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import AbstractRunner, ParallelRunner, SequentialRunner, ThreadRunner

from lottery_pipeline.datasets.left_out import LeftOut, find_reason
from lottery_pipeline.datasets.records import RecordDataset
from lottery_pipeline.hooks.guards import (
    Guard,
    find_failures,
    find_final_error,
    find_spared,
    guard_nodes,
    spread_reasons,
)
from lottery_pipeline.options.filter import FilterOptions
from lottery_pipeline.parameters import METHOD_GROUPS
from lottery_pipeline.pipelines.blocks import make_block, make_record
from lottery_pipeline.reproducibility.storage import StorageError
from lottery_pipeline.training.ranks import ParallelError

Record = dict[str, Any]
BAD: dict[str, type[BaseException]] = {"search": RuntimeError}  # what a block named bad raises


class RecordError(ValueError):
    """What a damaged file raises."""


def search(images: Record, block: str) -> tuple[Record, Record]:
    if block == "bad":
        raise BAD["search"]("no such thing.\nAnd more.")
    if block == "not a number":
        return {"ticket": block}, {"epochs": float("nan")}
    return {"ticket": block, **images}, {"epochs": 1}


def sign(ticket: Record) -> Record:
    return {"signed": ticket["ticket"]}


def gather(**records: Record | None) -> Record:
    return {name: repr(record) for name, record in records.items()}


def make_method(name: str) -> Pipeline:
    nodes = [
        Node(search, ["images", "params:block"], ["ticket", "metrics"], name="search"),
        make_record(["metrics", "ticket"]),
    ]
    return make_block(name, nodes, inputs={"images": "images"})


def make_gatherer(namespace: str) -> Pipeline:
    records = {name: f"{name}_record" for name in ("bad", "good", "signature")}
    inputs = {f"{name}_record": f"{name}.record" for name in records}
    return make_block(namespace, [Node(gather, records, "result", name="gather")], inputs=inputs)


SIGNATURE = make_block(
    "signature", [Node(sign, "ticket", "record", name="sign")], inputs={"ticket": "bad.ticket"}
)


def make_pipeline() -> Pipeline:
    gatherers = [make_gatherer("robustness"), make_gatherer("reporting")]
    return Pipeline([make_method("bad"), make_method("good"), SIGNATURE, *gatherers])


def make_catalog(folder: Path, pipeline: Pipeline, kind: type[DataCatalog] = DataCatalog) -> DataCatalog:
    names = {name for name in pipeline.datasets() if not name.startswith("params:")}
    catalog = kind({name: RecordDataset(filepath=str(folder / f"{name}.json")) for name in names})
    for block in ("bad", "good"):
        catalog[f"params:{block}.block"] = block
    catalog.save("images", {"of": "cats"})
    return catalog


RUNNERS: dict[str, Callable[[], AbstractRunner]] = {
    "sequential": SequentialRunner,
    "threads": lambda: ThreadRunner(max_workers=2),
    "processes": lambda: ParallelRunner(max_workers=2),
}
CATALOGS = {"processes": SharedMemoryDataCatalog}
FAILURE = LeftOut("bad", "RuntimeError: no such thing. And more", "search")


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_block_that_fails_takes_with_it_only_what_needs_it(
    runner: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = make_pipeline()
    catalog = make_catalog(tmp_path, pipeline, CATALOGS.get(runner, DataCatalog))
    guard_nodes(pipeline, catalog, {}, {})
    RUNNERS[runner]().run(pipeline, catalog)
    assert catalog.load("good.record") == {
        "metrics": {"epochs": 1},
        "ticket": {"ticket": "good", "of": "cats"},
    }
    assert catalog.load("bad.record") == FAILURE
    assert FAILURE.sentence == "bad failed in search: RuntimeError: no such thing. And more."
    unsigned = LeftOut("signature", f"it needs bad, which failed: {FAILURE.reason}")
    seen = {"good": repr(catalog.load("good.record"))}
    assert catalog.load("robustness.result") == seen | {"bad": "None", "signature": "None"}
    assert catalog.load("reporting.result") == seen | {"bad": repr(FAILURE), "signature": repr(unsigned)}
    assert find_failures(pipeline, catalog) == [FAILURE]
    if runner != "processes":
        assert caplog.text.count("Traceback") == 1
        assert caplog.text.count("signature is left out: it needs bad, which failed") == 1


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_result_that_cannot_be_saved_takes_with_it_only_what_needs_it(
    runner: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = make_pipeline()
    catalog = make_catalog(tmp_path, pipeline, CATALOGS.get(runner, DataCatalog))
    catalog["params:bad.block"] = "not a number"
    guard_nodes(pipeline, catalog, {}, {})
    RUNNERS[runner]().run(pipeline, catalog)
    (failure,) = find_failures(pipeline, catalog)
    assert failure.sentence.startswith("bad failed in search: ValueError: Out of range float values are not")
    assert catalog.load("bad.record") == catalog.load("bad.metrics") == failure
    assert catalog.load("good.record")["metrics"] == {"epochs": 1}
    assert catalog.load("signature.record") == {"signed": "not a number"}, "the ticket itself was saved"
    if runner != "processes":
        assert caplog.text.count("The run continues without it.") == 1


def test_a_result_that_cannot_be_read_again_takes_with_it_only_what_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(self: RecordDataset, text: str) -> Any:
        if "bad" in text:
            raise RecordError("it cannot be read")
        return json.loads(text)

    monkeypatch.setattr(RecordDataset, "_parse", parse)
    pipeline = make_pipeline()
    catalog = make_catalog(tmp_path, pipeline)
    monkeypatch.setitem(BAD, "search", RuntimeError)
    catalog["params:bad.block"] = "not bad"
    guard_nodes(pipeline, catalog, {}, {})
    SequentialRunner().run(pipeline, catalog)
    failure = LeftOut("bad", "RecordError: it cannot be read", "search")
    assert find_failures(pipeline, catalog) == [failure]
    assert catalog.load("good.record")["metrics"] == {"epochs": 1}
    assert catalog.load("signature.record").reason == f"it needs bad, which failed: {failure.reason}"


@pytest.mark.parametrize("fault", [StorageError("the disk is full"), ParallelError("process 1 is gone")])
def test_a_full_disk_or_a_lost_process_ends_the_run_also_where_a_result_is_saved(
    fault: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def write(self: RecordDataset, path: Path, data: Any) -> Any:
        raise fault

    pipeline = make_pipeline()
    catalog = make_catalog(tmp_path, pipeline)
    guard_nodes(pipeline, catalog, {}, {})
    monkeypatch.setattr(RecordDataset, "_write", write)
    with pytest.raises(DatasetError) as caught:
        SequentialRunner().run(pipeline, catalog)
    assert find_final_error(caught.value) is fault


def test_what_is_left_out_is_not_tried(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = make_pipeline()
    left_out = spread_reasons(pipeline, {"bad": LeftOut("bad", "it cannot work here")}, {})
    assert left_out["signature"].reason == "it needs bad, which is left out: it cannot work here"
    assert left_out.keys() == {"bad", "signature"}
    catalog = make_catalog(tmp_path, pipeline)
    guard_nodes(pipeline, catalog, left_out, {})
    SequentialRunner().run(pipeline, catalog)
    assert catalog.load("signature.record") == left_out["signature"]
    assert find_failures(pipeline, catalog) == []
    assert caplog.text == "", "preflight has said it"


def test_the_next_run_makes_what_was_missing(tmp_path: Path) -> None:
    pipeline = make_pipeline()
    catalog = make_catalog(tmp_path, pipeline)
    guard_nodes(pipeline, catalog, {"bad": LeftOut("bad", "it cannot work here")}, {})
    SequentialRunner().run(pipeline, catalog)
    assert not catalog.exists("bad.ticket")
    catalog["params:bad.block"] = "mended"
    guard_nodes(pipeline, catalog, {}, {})
    SequentialRunner().run(pipeline, catalog)
    assert catalog.load("signature.record") == {"signed": "mended"}
    assert not list(tmp_path.glob("*.left_out"))


@pytest.mark.parametrize("fault", [KeyboardInterrupt, SystemExit, StorageError])
def test_what_concerns_the_whole_run_ends_it(
    fault: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BAD, "search", fault)
    pipeline = make_pipeline()
    catalog = make_catalog(tmp_path, pipeline)
    guard_nodes(pipeline, catalog, {}, {})
    with pytest.raises(fault):
        SequentialRunner().run(pipeline, catalog)


def test_a_fault_of_a_disk_behind_another_error_ends_the_run_too() -> None:
    def fail() -> None:
        raise RuntimeError("saving failed") from StorageError("the disk is full")

    guard = Guard(fail, block="bad", name="search", outputs=1, left_out=None, spared=())
    with pytest.raises(RuntimeError):
        guard()


def test_a_guard_looks_like_its_function_and_travels_to_workers() -> None:
    guard = Guard(search, block="good", name="search", outputs=2, left_out=None, spared=("layer",))
    assert signature(guard) == signature(search)
    again = pickle.loads(pickle.dumps(guard))
    assert again.function is search
    assert again.spared == {"layer"}
    assert find_reason(again, [{"ticket": 1}]) is None


@pytest.mark.parametrize(("budget", "spared"), [(None, set()), (0.5, {"layer"})])
def test_filter_needs_the_layer_ticket_unless_it_has_a_budget(budget: float | None, spared: set[str]) -> None:
    (node,) = make_block(
        "filter", [Node(sign, "match", "ticket", name="extract_ticket")], inputs={"match": "layer.ticket"}
    ).nodes
    group = METHOD_GROUPS["filter"](extraction=FilterOptions(mac_budget=budget))
    assert find_spared(node, {"filter": group}) == spared
