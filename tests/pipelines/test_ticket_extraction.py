"""Ticket extraction: the template, and nodes with tiny networks and no Kedro."""

import pickle
from dataclasses import replace
from typing import Any, get_type_hints

import pytest

from lottery_pipeline.evaluation.lineage import collect_record
from lottery_pipeline.models.names import ModelError
from lottery_pipeline.options import (
    COMPOSITIONS,
    METHODS,
    ControlOptions,
    CostOptions,
    CtsOptions,
    ImpOptions,
)
from lottery_pipeline.parameters import (
    ModelParameters,
    PretrainingParameters,
    RetrainingParameters,
    WorkParameters,
)
from lottery_pipeline.pipelines.ticket_extraction import nodes
from lottery_pipeline.pipelines.ticket_extraction.pipeline import create_composition, create_method
from lottery_pipeline.training.recipe import Recipe
from tests.tiny import OWN_MODEL, draw_images, spec_for

PRETRAINING = PretrainingParameters(epochs=2, rewind_epoch=1, batch_size=16, learning_rate=0.05)
MODEL = ModelParameters(name=OWN_MODEL)


@pytest.fixture(scope="module")
def images() -> Any:
    return draw_images()


@pytest.fixture(scope="module")
def dense_run(images: Any) -> Any:
    from lottery_pipeline.training.dense import pretrain

    return pretrain(images, spec_for(images), PRETRAINING.recipe(), rewind_epoch=1, seed=0, device="cpu")


def test_every_method_is_a_namespace_of_the_same_template() -> None:
    for method in METHODS.values():
        pipeline = create_method(method)
        assert {node.namespace for node in pipeline.nodes} == {method.name}
        assert f"params:{method.name}.extraction" in pipeline.inputs()
        assert {"images", "dense_run", "params:work", "params:seed"} <= pipeline.inputs()
        assert {f"{method.name}.ticket", f"{method.name}.metrics"} <= pipeline.all_outputs()
        assert pipeline.outputs() == {f"{method.name}.record"}


def test_a_method_without_a_ladder_has_no_ladder_and_no_controls() -> None:
    outputs = create_method(replace(METHODS["lth"], has_ladder=False)).all_outputs()
    results = ("ticket", "search", "trace", "trained_ticket", "history", "metrics", "record")
    assert outputs == {f"lth.{name}" for name in results}


@pytest.mark.parametrize(("method", "step"), [("lth", 0), ("ltr", 3)])
def test_the_methods_differ_in_where_the_ticket_starts(
    method: str, step: int, images: Any, dense_run: Any, work: WorkParameters
) -> None:
    ticket, search, trace, ladder = nodes.extract_ticket(
        method,
        images,
        dense_run,
        ImpOptions(density=0.5, rate=0.3),
        MODEL,
        PRETRAINING,
        RetrainingParameters(),
        0,
        "cpu",
        work,
    )
    assert ticket.header.rewind_step == step
    assert ladder.last_rung == 2
    assert search["search_epochs"] > 0
    assert trace


def test_a_ticket_goes_through_all_nodes(images: Any, dense_run: Any, work: WorkParameters) -> None:
    retraining = RetrainingParameters(learning_rate=0.01)
    options = ImpOptions(density=0.5, rate=0.5)
    ticket, search, _, ladder = nodes.extract_ticket(
        "ltr", images, dense_run, options, MODEL, PRETRAINING, retraining, 0, "cpu", work
    )
    trained, history = nodes.retrain_ticket(ticket, images, PRETRAINING, retraining, 0, "cpu", work)
    assert {row["learning_rate"] for row in history} == {0.01}
    metrics = nodes.evaluate_ticket(
        trained, ticket, images, dense_run, history, search, CostOptions(repeats=2), "cpu"
    )
    assert metrics["search_epochs"] == search["search_epochs"]
    assert nodes.complete_ladder(ladder, metrics)[-1]["test_accuracy"] == metrics["test_accuracy"]
    controls = nodes.train_controls(
        ladder,
        images,
        dense_run,
        ControlOptions(kinds=("random_mask",)),
        PRETRAINING,
        retraining,
        0,
        "cpu",
        work,
    )
    assert [row["control"] for row in controls] == ["random_mask"]
    record = collect_record(metrics=metrics, history=history, controls=controls)
    assert record["metrics"] == metrics
    assert [row["control"] for row in record["controls"]] == ["random_mask"]


def test_every_search_is_one_function_that_travels_to_a_worker_and_is_typed_for_kedro() -> None:
    blocks = [(method, create_method(method)) for method in METHODS.values()]
    blocks += [(method, create_composition(name)) for name, (_, method) in COMPOSITIONS.items()]
    for method, block in blocks:
        (node,) = [node for node in block.nodes if node.name.endswith(".extract_ticket")]
        assert node.func.__wrapped__ is nodes.extract_ticket  # whose source Kedro-Viz shows
        assert pickle.loads(pickle.dumps(node.func)) is node.func
        assert get_type_hints(node.func)["extraction"] is method.options


def test_a_method_without_a_ladder_returns_ticket_costs_and_trace(
    images: Any, dense_run: Any, work: WorkParameters
) -> None:
    options = CtsOptions(density=0.5, length=1)
    ticket, search, trace = nodes.extract_ticket(
        "cts", images, dense_run, options, MODEL, PRETRAINING, RetrainingParameters(), 0, "cpu", work
    )
    assert ticket.method == "cts"
    assert search["search_epochs"] == pytest.approx(4 / 3)
    assert len(trace) == 3


def test_the_search_uses_the_recipe_of_the_retraining(
    images: Any, dense_run: Any, work: WorkParameters
) -> None:
    assert dense_run.recipe == PRETRAINING.recipe() == Recipe(epochs=2, batch_size=16, learning_rate=0.05)
    options = ImpOptions(rounds=1, rate=0.5)
    changed = RetrainingParameters(epochs=3)
    _, search, _, _ = nodes.extract_ticket(
        "lth", images, dense_run, options, MODEL, PRETRAINING, changed, 0, "cpu", work
    )
    assert search["search_epochs"] == 3


def test_the_file_of_a_dense_run_cannot_choose_what_code_is_imported(
    images: Any, dense_run: Any, work: WorkParameters
) -> None:
    forged = replace(dense_run, spec=dense_run.spec.model_copy(update={"name": "os:system"}))
    with pytest.raises(ModelError, match="imported only on request"):
        nodes.extract_ticket(
            "lth",
            images,
            forged,
            ImpOptions(rounds=1),
            MODEL,
            PRETRAINING,
            RetrainingParameters(),
            0,
            "cpu",
            work,
        )
