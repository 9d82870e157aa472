"""The drawn flow: what Kedro-Viz shows of every registered pipeline, by its own JSON.

Whoever adds a pipeline is held to the pattern: what a block makes lies in the block, everything has a layer
and a preview, and the layers come in order.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from lottery_pipeline.options import COMPOSITIONS, METHODS
from lottery_pipeline.pipeline_registry import register_pipelines
from tests.kedro_project import ROOT, load_catalog

PIPELINES = register_pipelines()
LAYERS = ["01_raw", "03_primary", "06_models", "07_model_output", "08_reporting"]
SEARCH_ONLY = {"search", "trace"}  # of a method that another needs: its costs, and what it did
WITHOUT_PREVIEW = {
    "raw_images": "a folder, which may hold millions of files",
    "results": "the records, each of which has one",
    "owner": "a secret",
    "disclosure": "secrets, until a judge sees them",
    "suspect": "a stranger's file, which only the verification reads",
    "predictions": "a stranger's file, which only the verification reads",
}
SCRIPT = """
import json, logging, sys
from pathlib import Path
from kedro_viz.api.rest.responses.pipelines import get_pipeline_response
from kedro_viz.server import load_and_populate_data
messages = []
handler = logging.Handler()
handler.emit = lambda record: messages.append(record.getMessage())
logging.getLogger("kedro_viz").addHandler(handler)
load_and_populate_data(Path.cwd())
drawn = {name: get_pipeline_response(name).model_dump(mode="json") for name in sys.argv[1:]}
print(json.dumps({"drawn": drawn, "messages": messages}))
"""


@pytest.fixture(scope="module")
def viz() -> dict[str, Any]:
    """What Kedro-Viz sends to the browser for each pipeline, and what it complains about."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, *PIPELINES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    drawn: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return drawn


@pytest.fixture(scope="module")
def catalog() -> Any:
    return load_catalog()


def list_shown(response: dict[str, Any]) -> dict[str, str]:
    """Return what is shown while all blocks are collapsed: kind by name; parameters are off by default."""
    names = {node["id"]: node["name"] for node in response["nodes"]}
    children = response["modular_pipelines"]["__root__"]["children"]
    return {
        names.get(child["id"], child["id"]): child["type"]
        for child in children
        if child["type"] != "parameters"
    }


def find_ranks(response: dict[str, Any]) -> dict[str, int]:
    """Return the row of everything shown while collapsed: one below the lowest of what it needs."""
    children = response["modular_pipelines"]["__root__"]["children"]
    shown = {child["id"] for child in children if child["type"] != "parameters"}
    needs: dict[str, set[str]] = {item: set() for item in shown}
    for edge in response["edges"]:
        if edge["source"] in shown and edge["target"] in shown:
            needs[edge["target"]].add(edge["source"])

    def rank(item: str) -> int:
        return 1 + max((rank(other) for other in needs[item]), default=-1)

    return {item: rank(item) for item in shown}


def files_of(catalog: Any, pipeline: Any) -> Iterator[tuple[str, Any]]:
    for name in sorted(pipeline.datasets()):
        if not name.startswith("param"):
            yield name, catalog.get(name)


def test_the_default_is_readable_when_it_opens(viz: dict[str, Any]) -> None:
    default = viz["drawn"]["__default__"]
    shown = list_shown(default)
    assert len(shown) <= 40
    chosen = {name for name, method in METHODS.items() if method.by_default}
    blocks = {name for name, kind in shown.items() if kind == "modularPipeline"}
    others = {"data_preparation", "dense_pretraining", "reporting"}
    others |= {"signature_embedding", "ownership_verification", "robustness_evaluation"}
    assert blocks == chosen | others
    assert {name for name, kind in shown.items() if kind == "task"} == set()
    ranks = list(find_ranks(default).values())
    assert max(map(ranks.count, ranks)) <= 14


def test_no_edge_leads_to_a_method_that_is_not_in_the_run(viz: dict[str, Any]) -> None:
    default = viz["drawn"]["__default__"]
    absent = {name for name, method in METHODS.items() if not method.by_default} | COMPOSITIONS.keys()
    names = {node["id"]: node["name"] for node in default["nodes"]}
    ends = {names.get(edge[end], edge[end]) for edge in default["edges"] for end in ("source", "target")}
    assert not {name for name in ends if name.partition(".")[0] in absent}


@pytest.mark.parametrize("name", list(PIPELINES))
def test_the_layers_are_in_order(name: str, viz: dict[str, Any]) -> None:
    response = viz["drawn"][name]
    present = {node["layer"] for node in response["nodes"] if node.get("layer")}
    # Kedro-Viz also lists the layers of other pipelines.
    assert [layer for layer in response["layers"] if layer in present] == [
        layer for layer in LAYERS if layer in present
    ]


def test_kedro_viz_has_nothing_to_complain_about(viz: dict[str, Any]) -> None:
    assert viz["messages"] == [], "a cycle of layers, for example, hides them all"


@pytest.mark.parametrize("name", list(PIPELINES))
def test_what_a_block_makes_lies_in_the_block(name: str) -> None:
    pipeline = PIPELINES[name]
    for node in pipeline.nodes:
        assert node.namespace, f"{node.name} is drawn outside all blocks"
    whole = {
        node.namespace
        for node in pipeline.nodes
        if node.name.partition(".")[2].startswith(("collect_record", "record_"))
    }
    read_by = {
        dataset: {node.namespace for node in pipeline.nodes if dataset in node.inputs}
        for dataset in pipeline.all_outputs()
    }
    shared = {"images", "data_overview", "dense_run", "dense_record", "report"}
    shared |= {"disclosure", "attacks_figure", "sweep_report.page"}
    for node in pipeline.nodes:
        for output in node.outputs:
            part = output.rpartition(".")[2]
            hidden = node.namespace in read_by[output]
            needed = bool(read_by[output] - {node.namespace})
            if node.namespace in whole and not needed:
                assert hidden or part == "record" or output in shared, output
            elif not needed:
                assert hidden or output in shared or part in SEARCH_ONLY, output


@pytest.mark.parametrize("name", list(PIPELINES))
def test_everything_has_a_layer_and_a_preview_or_a_reason_for_none(name: str, catalog: Any) -> None:
    for dataset, entry in files_of(catalog, PIPELINES[name]):
        assert entry.metadata["kedro-viz"]["layer"] in LAYERS, dataset
        assert hasattr(entry, "preview") != (dataset in WITHOUT_PREVIEW), dataset


@pytest.mark.parametrize("name", [*METHODS, *COMPOSITIONS])
def test_a_method_reaches_report_and_mlflow_by_one_record(name: str) -> None:
    pipeline = PIPELINES[name]
    assert {output for output in pipeline.all_outputs() if output.endswith(".record")} >= {f"{name}.record"}
    combined = pipeline + PIPELINES["reporting"]
    (gather,) = [node for node in combined.nodes if node.name == "reporting.gather_results"]
    assert f"{name}.record" in gather.inputs


@pytest.mark.parametrize("name", ["ltr", "layer", "snip"])
def test_a_preview_of_what_is_not_there_yet_is_empty(name: str, catalog: Any) -> None:
    for dataset, entry in files_of(catalog, PIPELINES[name]):
        if dataset not in WITHOUT_PREVIEW and not entry.exists():
            assert json.dumps(entry.preview())
