"""What a run does without, and what it refuses because it was asked for by name."""

from pathlib import Path
from typing import Any

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from lottery_pipeline.hooks.block_checks import choose_blocks, find_required
from lottery_pipeline.parameters import check_parameters
from lottery_pipeline.pipeline_registry import register_pipelines
from tests.kedro_project import ROOT

PIPELINES = register_pipelines()


@pytest.fixture(scope="module")
def raw() -> dict[str, Any]:
    """The parameters of the tests: LeNet, which has no residual block."""
    bootstrap_project(ROOT)
    with KedroSession.create(ROOT, env="test") as session:
        parameters: dict[str, Any] = session.load_context().config_loader["parameters"]
    return parameters | {"layer": {"extraction": parameters["layer"]["extraction"] | {"removed": 1}}}


def choose(raw: dict[str, Any], *named: str, **changes: Any) -> tuple[list[str], dict[str, str]]:
    """Return the faults of a run of these pipelines, and what it does without."""
    pipeline = sum((PIPELINES[name] for name in named[1:]), PIPELINES[(named or ("__default__",))[0]])
    faults, left_out = choose_blocks(
        pipeline, check_parameters(raw | changes), Path(), required=find_required(named, PIPELINES)
    )
    return faults, {name: reason.sentence for name, reason in left_out.items()}


def test_the_default_run_does_without_what_cannot_work(raw: dict[str, Any]) -> None:
    faults, left_out = choose(raw)
    assert faults == []
    assert left_out.keys() == {"layer", "filter"}
    assert left_out["layer"].startswith("layer is left out: this network has no residual block with an")
    assert left_out["filter"].startswith("filter is left out: it needs layer, which is left out: this net")


@pytest.mark.parametrize("named", [("layer",), ("snip", "layer", "reporting"), ("ticket_extraction",)])
def test_what_was_named_is_refused(named: tuple[str, ...], raw: dict[str, Any]) -> None:
    faults, _ = choose(raw, *named)
    layer = [fault for fault in faults if fault.startswith("Parameter layer: ")]
    assert len(layer) == 1
    assert "choose a ResNet, e.g. resnet20" in layer[0]


def test_filter_is_refused_with_the_reason_of_the_layer_ticket_it_must_match(raw: dict[str, Any]) -> None:
    (fault,), _ = choose(raw, "filter")
    assert fault.startswith("Parameter filter: it needs layer, which is left out: this network has no")


def test_filter_with_a_size_of_its_own_does_without_layer(raw: dict[str, Any]) -> None:
    own_size = {"extraction": raw["filter"]["extraction"] | {"mac_budget": 0.5}}
    chain = raw["model"] | {"name": "conv4"}  # LeNet has no filters
    assert choose(raw, "filter", filter=own_size, model=chain)[0] == []
    assert choose(raw, filter=own_size, model=chain)[1].keys() == {"layer"}
    assert choose(raw, filter=own_size)[1].keys() == {"layer", "filter"}


def test_what_one_wants_left_out_takes_what_needs_it_along(raw: dict[str, Any]) -> None:
    faults, left_out = choose(raw, left_out="cts supertickets layer")
    assert faults == []
    assert left_out["cts"] == "cts is left out: parameter left_out names it."
    assert left_out["ownership_verification"].startswith("ownership_verification is left out: it needs sign")
    gone = {"cts", "signature_embedding", "ownership_verification", "supertickets", "layer", "filter"}
    assert left_out.keys() == gone


def test_a_run_of_nothing_is_refused(raw: dict[str, Any]) -> None:
    every = "lth ltr cts snip grasp synflow layer filter supertickets"
    assert "Parameter cts: parameter left_out names it." in choose(raw, left_out=every)[0]
    assert choose(raw, "cts", left_out="cts")[0] == ["Parameter cts: parameter left_out names it."]


def test_a_bad_parameter_is_refused_in_every_run(raw: dict[str, Any]) -> None:
    none = {"extraction": raw["cts"]["extraction"] | {"density": 1e-9}}
    (fault,), _ = choose(raw, cts=none)
    assert fault.startswith("Parameter cts: density 1e-09 keeps none of")


def test_dense_tasks_do_without_what_needs_classes(raw: dict[str, Any]) -> None:
    faults, left_out = choose(
        raw,
        data=raw["data"] | {"source": "canvases", "task": "segmentation"},
        model=raw["model"] | {"name": "supernet:canvas32"},
        supertickets={"extraction": raw["supertickets"]["extraction"] | {"supernet": "canvas32"}},
        layer={"extraction": raw["layer"]["extraction"] | {"removed": 0}},
    )
    assert faults == []
    assert {"cts", "snip", "grasp", "layer", "filter", "robustness_evaluation"} <= left_out.keys()
    assert not {"lth", "ltr", "synflow", "supertickets"} & left_out.keys()
