"""The registered pipelines: names, contents, wiring."""

import pytest
from kedro.pipeline import Pipeline

from lottery_pipeline.methods import METHODS as CORE_METHODS
from lottery_pipeline.options import COMPOSITIONS, METHODS
from lottery_pipeline.parameters import METHOD_GROUPS
from lottery_pipeline.pipeline_registry import register_pipelines

PIPELINES = register_pipelines()


def names(pipeline: Pipeline) -> set[str]:
    return {node.name for node in pipeline.nodes}


def test_the_names_of_the_contract_are_registered() -> None:
    contract = {"__default__", "data_preparation", "dense_pretraining", "lth", "ltr", "cts", "saliency"}
    contract |= {"layer", "filter", "ticket_extraction", "sparse_retraining", "sanity_checks", "reporting"}
    contract |= {"signature_embedding", "ownership_verification", "ownership_attacks"}
    contract |= {"supertickets", "supertickets_study", "supertickets_transfer", "robustness_evaluation"}
    contract |= {"sweep_report"}
    assert contract <= set(PIPELINES)


def test_beside_them_there_is_a_pipeline_for_every_method_and_composition() -> None:
    stages = {"__default__", "data_preparation", "dense_pretraining", "saliency", "ticket_extraction"}
    stages |= {"sparse_retraining", "sanity_checks", "robustness_evaluation", "reporting"}
    stages |= {"supertickets_study", "supertickets_transfer", "sweep_report"}
    stages |= {"signature_embedding", "ownership_verification", "ownership_attacks", "ownership_disclosure"}
    assert set(PIPELINES) == stages | METHODS.keys() | COMPOSITIONS.keys()
    assert {"layer_ltr", "layer_cts", "layer_snip"} <= COMPOSITIONS.keys()


def test_every_method_of_the_core_has_a_pipeline_and_parameters() -> None:
    assert list(METHODS) == list(CORE_METHODS) == list(METHOD_GROUPS)


@pytest.mark.parametrize("method", ["lth", "ltr"])
def test_a_method_begins_with_the_images_and_the_dense_run(method: str) -> None:
    assert names(PIPELINES[method]) == {
        "data_preparation.prepare_images",
        "data_preparation.describe_images",
        "dense_pretraining.pretrain_dense",
        f"{method}.extract_ticket",
        f"{method}.retrain_ticket",
        f"{method}.evaluate_ticket",
        f"{method}.complete_ladder",
        f"{method}.train_controls",
        f"{method}.collect_record",
    }


def test_the_default_is_a_choice_of_methods_a_signature_their_robustness_and_the_report() -> None:
    chosen = set().union(
        *(
            names(PIPELINES[name])
            for name in ("lth", "ltr", "cts", "snip", "grasp", "synflow", "layer", "supertickets")
        )
    )
    chosen |= names(PIPELINES["signature_embedding"]) | names(PIPELINES["ownership_verification"])
    chosen |= names(PIPELINES["robustness_evaluation"])
    assert names(PIPELINES["__default__"]) == chosen | names(PIPELINES["reporting"])


def test_the_default_measures_the_robustness_of_every_ticket_that_it_trains() -> None:
    default = PIPELINES["__default__"]
    (node,) = [node for node in default.nodes if node.name == "robustness_evaluation.evaluate_robustness"]
    trained = {name for name in default.all_outputs() if name.endswith(".trained_ticket")}
    assert {"ltr.trained_ticket", "layer.trained_ticket", "signature_embedding.trained_ticket"} <= trained
    assert {name.replace("trained_ticket", "record") for name in trained} <= set(node.inputs)
    assert "ownership_verification.record" not in node.inputs


def test_robustness_on_its_own_reads_what_is_stored_and_with_a_method_what_that_makes() -> None:
    def inputs(pipeline: Pipeline) -> set[str]:
        (node,) = [node for node in pipeline.nodes if node.name.endswith("evaluate_robustness")]
        return {name for name in node.inputs if not name.startswith("params:")}

    stored = {"images", "dense_run", "stored_tickets"}
    assert inputs(PIPELINES["robustness_evaluation"]) == stored
    both = PIPELINES["reporting"] + PIPELINES["snip"] + PIPELINES["robustness_evaluation"]
    assert inputs(both) == stored | {"snip.record"}
    (gather,) = [node for node in both.nodes if node.name == "reporting.gather_results"]
    assert {"snip.record", "robustness_evaluation.record"} <= set(gather.inputs)


def test_the_filter_baseline_comes_with_the_layer_ticket_that_it_matches() -> None:
    steps = ("extract_ticket", "retrain_ticket", "evaluate_ticket", "collect_record")
    filters = {f"filter.{step}" for step in steps}
    assert names(PIPELINES["layer"]) >= {f"layer.{step}" for step in steps} | filters
    assert names(PIPELINES["filter"]) == names(PIPELINES["dense_pretraining"]) | filters | {
        "layer.extract_ticket"
    }


def test_a_composition_begins_with_its_parent() -> None:
    chain = ("layer.extract_ticket", "layer.pretrain_parent", "layer_cts.extract_ticket")
    assert names(PIPELINES["layer_cts"]) == {
        *names(PIPELINES["dense_pretraining"]),
        *chain,
        "layer_cts.retrain_ticket",
        "layer_cts.evaluate_ticket",
        "layer_cts.collect_record",
    }


def test_saliency_is_five_methods() -> None:
    methods = ("snip", "grasp", "synflow", "magnitude", "random")
    assert names(PIPELINES["saliency"]) == set().union(*(names(PIPELINES[name]) for name in methods))


def test_ticket_extraction_is_all_methods() -> None:
    everything = set().union(*(names(PIPELINES[name]) for name in METHODS))
    assert names(PIPELINES["ticket_extraction"]) == everything


@pytest.mark.parametrize("name", ["sparse_retraining", "reporting"])
def test_sparse_retraining_and_reporting_start_from_what_is_stored(name: str) -> None:
    assert not names(PIPELINES[name]) & names(PIPELINES["dense_pretraining"])


def test_every_node_has_a_stage_tag_and_a_verb_first() -> None:
    verbs = ("prepare", "profile", "draw", "pretrain", "extract", "retrain", "evaluate", "complete", "train")
    verbs += ("build", "write", "select", "check", "summarise", "describe", "collect", "gather", "record")
    verbs += ("commit", "sign", "publish", "read", "verify", "disclose", "run", "tabulate")
    for pipeline in PIPELINES.values():
        for node in pipeline.nodes:
            assert node.tags
            assert node.name.rsplit(".", 1)[-1].split("_")[0] in verbs
