"""Reporting: results by part, the head of the report, wiring."""

from typing import Any

from lottery_pipeline.parameters import PretrainingParameters, to_plain
from lottery_pipeline.pipelines.reporting.nodes import build_leaderboard, describe_run, select_part
from lottery_pipeline.pipelines.reporting.pipeline import create_pipeline

PARAMETERS: dict[str, Any] = {
    "seed": 3,
    "data": {"source": "digits"},
    "model": {"name": "resnet20"},
    "pretraining": {"epochs": 10, "rewind_epoch": 1, "batch_size": 64},
}


def test_a_part_is_selected_by_method() -> None:
    results = {"ltr.metrics": 1, "lth.metrics": None, "ltr.history": 2}
    assert select_part(results, "metrics") == {"ltr": 1, "lth": None}


def test_a_method_without_results_has_no_row() -> None:
    assert build_leaderboard(**{"ltr.metrics": None, "lth.metrics": None}).empty


def test_the_head_of_the_report_says_what_was_run() -> None:
    identity = {"experiment": "cifar10", "variant": "seed3"}
    context = describe_run(PARAMETERS, identity, {"test": 100})
    assert context["command"] == "kedro run --env cifar10 --params variant=seed3"
    assert context["recipe"] == "custom: sgd, 10 epochs, batches of 64"
    assert (context["test_images"], context["seed"], context["data"]) == (100, 3, "digits")
    assert context["versions"]["torch"]


def test_the_head_is_the_same_for_typed_parameters() -> None:
    typed = {**PARAMETERS, "pretraining": PretrainingParameters(**PARAMETERS["pretraining"])}
    identity = {"experiment": "base", "variant": "base"}
    context = describe_run(to_plain(typed), identity, {"test": 1})
    assert context["command"] == "kedro run"
    assert context["recipe"] == "custom: sgd, 10 epochs, batches of 64"


def test_reporting_reads_the_results_of_every_method_and_no_ticket() -> None:
    inputs = create_pipeline().inputs()
    assert {"lth.metrics", "ltr.metrics", "ltr.ladder_table", "ltr.controls", "ltr.history"} <= inputs
    assert not any(name.endswith("ticket") for name in inputs)


def test_the_outputs_have_no_namespace() -> None:
    assert {"leaderboard", "report", "training_curves"} <= create_pipeline().all_outputs()
