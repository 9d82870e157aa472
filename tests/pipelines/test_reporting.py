"""Reporting: results by part, the head of the report, what waits for what."""

from itertools import permutations
from typing import Any

import pytest
from kedro.pipeline import Pipeline

from lottery_pipeline.parameters import PretrainingParameters, to_plain
from lottery_pipeline.pipeline_registry import register_pipelines
from lottery_pipeline.pipelines.reporting.nodes import (
    build_leaderboard,
    describe_run,
    draw_figures,
    draw_search,
    gather_results,
    select_part,
    write_report,
)
from lottery_pipeline.pipelines.reporting.pipeline import create_pipeline
from lottery_pipeline.reporting.report import ARCHITECTURE_FIGURES
from tests.reporting.records import (
    make_blocks,
    make_dense_metrics,
    make_history,
    make_metrics,
    make_superticket,
    make_trace,
)

PIPELINES = register_pipelines()
PARAMETERS: dict[str, Any] = {
    "seed": 3,
    "data": {"source": "digits"},
    "model": {"name": "resnet20"},
    "pretraining": {"epochs": 10, "rewind_epoch": 1, "batch_size": 64},
    "work": {"experiment": "cifar10", "variant": "seed3"},
}


def test_the_records_of_this_run_are_taken_and_only_the_others_are_read() -> None:
    read = []

    def reader(name: str) -> Any:
        return lambda: read.append(name) or {"metrics": f"stored {name}"}

    stored = {name: reader(name) for name in ("cts", "ltr", "sanity_checks", "unknown")}
    results = gather_results(stored, ltr={"metrics": "made"}, lth=None)
    assert results == {
        "ltr": {"metrics": "made"},
        "cts": {"metrics": "stored cts"},
        "sanity_checks": {"metrics": "stored sanity_checks"},
    }
    assert read == ["cts", "sanity_checks"]


def test_signature_verdict_and_attacks_are_results_too() -> None:
    stored = {"ownership_attacks": lambda: {"rows": []}, "signature_embedding": lambda: {"metrics": "stored"}}
    made = {"signature_embedding": {"metrics": "made"}, "ownership_verification": {"checks": []}}
    assert gather_results(stored, **made) == {**made, "ownership_attacks": {"rows": []}}


def test_a_stored_record_that_cannot_be_used_is_left_out() -> None:
    assert gather_results({"ltr": lambda: None}) == {}


def test_a_part_is_selected_by_method() -> None:
    results = {"ltr": {"metrics": 1, "history": 2}, "sanity_checks": {"rows": []}}
    assert select_part(results, "metrics") == {"ltr": 1}


def test_a_signed_ticket_is_not_a_method_and_gets_no_row() -> None:
    results = {"signature_embedding": {"metrics": {"seed": 0}, "history": []}, "layer_cts": {"history": [1]}}
    assert build_leaderboard(results).empty
    assert select_part(results, "history") == {"layer_cts": [1]}


def test_a_method_without_results_has_no_row() -> None:
    assert build_leaderboard({}).empty


def test_the_head_of_the_report_says_what_was_run() -> None:
    context = describe_run(
        PARAMETERS, {"test": 100}, tracked="http://127.0.0.1:5000/#/experiments/1/runs", run="7f"
    )
    assert context["command"] == "kedro run --env cifar10 --params variant=seed3"
    assert context["recipe"] == "custom: sgd, 10 epochs, batches of 64"
    assert (context["test_images"], context["seed"], context["data"]) == (100, 3, "digits")
    assert context["tracked"].endswith("#/experiments/1/runs")
    assert context["run"] == "7f"
    assert context["versions"]["torch"]


def test_the_folder_of_the_users_weights_is_not_shown() -> None:
    model = {"name": "resnet20", "weights": "/home/zoe/secret/mine.pt"}
    context = describe_run(PARAMETERS | {"model": model}, {"test": 100})
    assert context["parameters"]["model"] == {"name": "resnet20", "weights": "mine.pt"}


def test_the_head_is_the_same_for_typed_parameters() -> None:
    typed = {**PARAMETERS, "pretraining": PretrainingParameters(**PARAMETERS["pretraining"])}
    plain = to_plain(typed) | {"work": {"experiment": "base", "variant": "base"}}
    context = describe_run(plain, {"test": 1})
    assert context["command"] == "kedro run"
    assert context["recipe"] == "custom: sgd, 10 epochs, batches of 64"


SUPERTICKET = {"metrics": make_superticket(), "trace": make_trace(), "blocks": make_blocks()}


def write(results: dict[str, Any]) -> str:
    """Write the page of some results, without the other figures."""
    dense = {"metrics": make_dense_metrics(), "history": make_history()}
    parameters = PARAMETERS | {"work": PARAMETERS["work"] | {"models": "/home/ada/data/06_models/base/base"}}
    return write_report(
        build_leaderboard(results), None, {"summary": {"test": 360}}, dense, results, parameters
    )


def test_the_search_of_a_superticket_has_figures_and_a_section_of_their_own() -> None:
    page = write({"supertickets": SUPERTICKET})
    for name in ARCHITECTURE_FIGURES:
        assert page.count(f'data-figure="{name}"') == 1
    assert tuple(draw_search(SUPERTICKET)) == ARCHITECTURE_FIGURES
    assert "model.name=supernet:data/06_models/base/base/supertickets/architecture.json" in page
    assert "/home/ada" not in page


def test_without_a_superticket_the_page_says_nothing_about_architectures() -> None:
    page = write({"ltr": {"metrics": make_metrics()}})
    assert "The architecture found" not in page
    assert "data-figure" not in page


def test_all_figures_name_the_metric_of_the_records() -> None:
    dense = {"metrics": make_dense_metrics(), "history": make_history()}
    results = {"ltr": {"metrics": make_metrics(metric="PCK"), "history": make_history()}}
    density, cost, execution, curves, *_ = draw_figures(dense, results)
    for figure in (density, cost, execution):
        assert figure.layout.yaxis.title.text == "Test PCK"
    assert curves.layout.yaxis.title.text == "PCK"


def test_alone_it_reads_what_is_stored() -> None:
    inputs = {name for name in create_pipeline().inputs() if not name.startswith("param")}
    assert inputs == {"data_overview", "dense_record", "stored_results"}


@pytest.mark.parametrize("names", list(permutations(("ltr", "reporting", "layer_snip"))))
def test_with_others_it_waits_for_their_records_in_whatever_order_they_are_named(
    names: tuple[str, ...],
) -> None:
    combined = Pipeline([])
    for name in names:  # as `kedro run --pipelines` does
        combined += PIPELINES[name]
    order = [node.name for node in combined.nodes]
    assert order.index("reporting.gather_results") > order.index("ltr.collect_record")
    assert order.index("reporting.gather_results") > order.index("layer_snip.collect_record")
    assert order.count("reporting.write_report") == 1


def test_naming_it_beside_the_default_changes_nothing() -> None:
    default = PIPELINES["__default__"]
    combined = sum([PIPELINES["reporting"], default], Pipeline([]))
    assert {str(node) for node in combined.nodes} == {str(node) for node in default.nodes}


def test_what_is_not_a_pipeline_cannot_be_added() -> None:
    with pytest.raises(TypeError):
        create_pipeline() + 1  # type: ignore[operator]


def test_only_the_report_leaves_its_block() -> None:
    assert create_pipeline().outputs() == {"report"}
    assert {"results", "leaderboard", "training_curves", "data_samples"} <= create_pipeline().all_outputs()
