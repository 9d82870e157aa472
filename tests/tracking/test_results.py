"""What of a record becomes what in MLflow."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.tracking.results import (
    find_parameters,
    name_chain,
    pick_winner,
    select_parameters,
    sort_record,
)

METRICS: dict[str, Any] = {
    "method": "layer>snip",
    "seed": 0,
    "prunable": 100,
    "dense_accuracy": 0.9,
    "macs_dense": 7,
    "test_accuracy": 0.8,
    "validation_accuracy": None,
    "dead_layers": ["conv1", "conv2"],
    "layers": [{"name": "conv1", "kept": 3}],
    "classes": [{"class": "cat", "recall": 0.5}],
    "fingerprint": "f",
    "dense_fingerprint": "d",
    "measured": {"latency_ms_1": 0.5, "latency": {"rows": []}},
}


def test_constants_are_parameters_and_what_was_achieved_is_a_metric_of_its_own_name() -> None:
    found = sort_record({"metrics": METRICS, "history": []})
    assert found.metrics == {"test_accuracy": 0.8, "dead_layers": 2.0, "latency_ms_1": 0.5}
    assert found.parameters == {"dense_accuracy": "0.9", "macs_dense": "7", "prunable": "100", "seed": "0"}


def test_how_it_was_computed_is_a_parameter_wherever_the_record_says_it() -> None:
    arithmetic = {"convolutions": "tf32", "deterministic_algorithms": False}
    expected = {"arithmetic.convolutions": "tf32", "arithmetic.deterministic_algorithms": "False"}
    assert sort_record({"metrics": {"arithmetic": arithmetic}}).parameters == expected
    assert sort_record({"rows": [], "arithmetic": arithmetic}).parameters == expected


def test_a_chain_is_told_whole_and_by_its_last_method() -> None:
    assert sort_record({"metrics": METRICS}).tags == {
        "chain": "layer>snip",
        "method": "snip",
        "fingerprint": "f",
        "dense_fingerprint": "d",
    }


def test_the_verdict_on_who_owns_a_ticket_is_a_tag_and_its_checks_are_a_table() -> None:
    metrics = {"verdict": "owned", "bits": 430.0, "mask_code_decoded": True, "committed": {"kind": "log"}}
    found = sort_record({"metrics": metrics, "checks": [{"check": "credential", "passed": True}]})
    assert found.tags == {"verdict": "owned"}
    assert found.metrics == {"bits": 430.0}
    assert set(found.tables) == {"tables/checks.json"}


def test_the_run_of_a_method_is_found_by_its_name_from_the_beginning() -> None:
    assert name_chain("ltr") == {"chain": "ltr", "method": "ltr"}
    assert name_chain("layer_snip") == {"chain": "layer>snip", "method": "snip"}
    assert name_chain("sanity_checks") == {}


def test_lists_of_rows_are_tables_but_for_what_is_drawn() -> None:
    scores, history = [{"round": 1, "block": "b"}], [{"step": 1, "epoch": 1}]
    record = {"metrics": METRICS, "history": history, "trace": scores, "ladder_table": [{"rung": 0}]}
    assert set(sort_record(record).tables) == {
        "tables/layers.json",
        "evaluation/classes.json",
        "tables/trace.json",
        "tables/ladder.json",
    }
    assert set(sort_record({"trace": history, "rows": scores}).tables) == {"tables/rows.json"}


def test_rows_come_in_the_order_in_which_they_were_reported() -> None:
    row = {"step": 1}
    record = {"history": [row], "controls": [row], "ladder_table": [row], "trace": [{**row, "round": 2}]}
    parts = [part for part, _ in sort_record(record).rows]
    assert parts == ["round_02", "ladder", "controls", "training"]


def test_the_dense_record_shares_no_metric_with_a_method() -> None:
    record = {
        "metrics": {"test_accuracy": 0.9, "test_loss": 0.1, "fingerprint": "f"},
        "history": [{"step": 1}],
    }
    found = sort_record(record, dense=True)
    assert found.metrics == {"dense_accuracy": 0.9, "dense_test_loss": 0.1}
    assert found.tags == {"dense_fingerprint": "f"}
    assert found.rows == [("dense", {"step": 1})]


def node(namespace: str, inputs: list[str], output: str) -> Node:
    return Node(lambda *_: None, inputs=inputs, outputs=output, name=output, namespace=namespace)


def test_a_block_shows_its_own_parameters_and_those_of_its_images_and_dense_run() -> None:
    pipeline = Pipeline(
        [
            node("data_preparation", ["params:data", "params:work"], "images"),
            node("dense_pretraining", ["images", "params:model"], "dense_run"),
            node("ltr", ["dense_run", "params:ltr.extraction", "params:seed", "parameters"], "ltr.record"),
            node("cts", ["dense_run", "params:cts.extraction"], "cts.record"),
            node("reporting", ["images", "params:style"], "report"),
        ]
    )
    assert find_parameters(pipeline) == {
        "": {"data", "model", "seed", "style"},
        "ltr": {"data", "model", "seed", "ltr.extraction"},
        "cts": {"data", "model", "cts.extraction"},
    }


def test_parameters_are_flat_and_a_block_s_own_lose_its_name() -> None:
    parameters = {"ltr": {"extraction": {"density": 0.5, "rounds": None}}, "seed": 3, "model": {"name": "a"}}
    assert select_parameters({"ltr.extraction", "seed"}, parameters, "ltr") == {
        "extraction.density": "0.5",
        "extraction.rounds": "None",
        "seed": "3",
    }
    assert select_parameters({"ltr.extraction"}, parameters) == {
        "ltr.extraction.density": "0.5",
        "ltr.extraction.rounds": "None",
    }
    assert select_parameters(set(), parameters) == {}


def result(accuracy: float, kept: float = 100.0, density: float = 0.1) -> dict[str, float]:
    return {"validation_accuracy": accuracy, "kept": kept, "density": density}


def test_the_winner_has_the_best_validation_accuracy_at_the_density_that_most_share() -> None:
    dense = {"layer": result(0.99, density=0.9)}
    assert pick_winner({"a": result(0.8), "b": result(0.9), **dense}) == "b"


def test_a_tie_goes_to_fewer_weights_then_to_the_name() -> None:
    assert pick_winner({"a": result(0.9, 5), "b": result(0.9, 2)}) == "b"
    assert pick_winner({"b": result(0.9), "a": result(0.9)}) == "a"


def test_of_densities_that_equally_many_share_the_lowest_counts() -> None:
    assert pick_winner({"a": result(0.9, density=0.5), "b": result(0.8, density=0.1)}) == "b"


def test_without_validation_images_nothing_wins() -> None:
    assert pick_winner({"a": {"test_accuracy": 1.0, "density": 0.1, "search_epochs": 1.0}}) is None
