"""Claims: which locks a run needs, and what a run is told that does not get them."""

from pathlib import Path

from lottery_pipeline.datasets.local_files import LocalFileDataset
from lottery_pipeline.hooks.claims import claim_of, describe_refusal, find_claims
from lottery_pipeline.pipeline_registry import register_pipelines
from lottery_pipeline.reproducibility.locks import HeldError, Holder, Wanted
from tests.kedro_project import load_catalog, redirected


def test_what_is_locked_follows_from_the_nodes() -> None:
    pipelines = register_pipelines()
    names = {
        name: {claim.name for claim in find_claims(pipeline, {})} for name, pipeline in pipelines.items()
    }
    before = {"data_preparation", "dense_pretraining"}
    assert names["reporting"] == {"reporting"}
    assert names["data_preparation"] == {"data_preparation"}
    assert names["ltr"] == before | {"ltr"}
    assert names["layer_cts"] == before | {"layer", "layer_cts"}
    for name in ("sanity_checks", "supertickets_study", "supertickets_transfer"):
        assert names[name] == before | {name}
    assert names["sparse_retraining"] == {"sparse_retraining"}
    assert before | {"ltr", "cts", "reporting"} <= names["__default__"]


def test_every_file_that_a_run_writes_is_under_one_lock(tmp_path: Path) -> None:
    with redirected(tmp_path):
        catalog = load_catalog()
    locks: dict[Path, set[str]] = {}
    for pipeline in register_pipelines().values():
        for node in pipeline.nodes:
            for dataset in map(catalog.get, node.outputs):
                if isinstance(dataset, LocalFileDataset):
                    locks.setdefault(dataset.path, set()).add(claim_of(node))
    assert len(locks) > 200
    assert {path: names for path, names in locks.items() if len(names) > 1} == {}


def test_parameters_that_determine_nothing_of_it_change_no_digest() -> None:
    dense = register_pipelines()["dense_pretraining"]
    data = {"source": "digits"}
    ours = {"data": data, "model": 2, "pretraining": 3, "seed": 0, "cts": 5}
    digests = [
        {claim.name: claim.digest for claim in find_claims(dense, {**ours, **change})}
        for change in ({}, {"cts": 6}, {"model": 7}, {"seed": 1}, {"data": {**data, "storage": "disk"}})
    ]
    assert digests[0] == digests[1] == digests[4]
    assert digests[0]["data_preparation"] == digests[2]["data_preparation"] != digests[3]["data_preparation"]
    assert len({row["dense_pretraining"] for row in digests}) == 3


def test_orphaned_workers_are_named_in_the_refusal() -> None:
    holder = Holder(41, "here", "2026-01-01 12:00:00+00:00")
    error = HeldError(Wanted("ltr", "the results of ltr"), [holder], [42, 43], writing=True)
    sentence = describe_refusal(error)
    assert "the results of ltr in this variant (process 41 on here, started 2026-01-01" in sentence
    assert "42, 43" in sentence
    assert "\n" not in sentence
