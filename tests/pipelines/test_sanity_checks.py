"""Sanity checks: nodes with tiny networks and no Kedro, and the wiring."""

import json
from typing import Any

import pytest

from lottery_pipeline.options import SanityOptions
from lottery_pipeline.parameters import (
    METHOD_GROUPS,
    ModelParameters,
    PretrainingParameters,
    RetrainingParameters,
    WorkParameters,
)
from lottery_pipeline.pipelines.sanity_checks.nodes import check_sanity, record_sanity, summarise_sanity
from lottery_pipeline.pipelines.sanity_checks.pipeline import create_pipeline
from lottery_pipeline.training.dense import pretrain
from tests.tiny import OWN_MODEL, draw_images, must_not_train, spec_for

PRETRAINING = PretrainingParameters(epochs=2, rewind_epoch=1, batch_size=16, learning_rate=0.05)
METHOD = {"extraction": {"density": 0.25, "rate": 0.5}, "controls": {"kinds": [], "rungs": [-1]}}


@pytest.fixture(scope="module")
def images() -> Any:
    return draw_images()


@pytest.fixture(scope="module")
def dense_run(images: Any) -> Any:
    spec = spec_for(images, OWN_MODEL)
    options = {"rewind_epoch": 1, "seed": 0, "device": "cpu", "allow_factory": OWN_MODEL}
    return pretrain(images, spec, PRETRAINING.recipe(), **options)


def check(images: Any, dense_run: Any, work: WorkParameters, *, typed: bool = False, **sanity: Any) -> Any:
    group = METHOD_GROUPS["ltr"].model_validate(METHOD) if typed else METHOD
    return check_sanity(
        images,
        dense_run,
        SanityOptions(**sanity),
        ModelParameters(name=OWN_MODEL),
        PRETRAINING,
        RetrainingParameters(learning_rate=0.1),
        {"ltr": group, "lth": group, "seed": 0},
        "cpu",
        work,
    )


def test_there_is_a_row_for_every_seed_method_and_check(
    images: Any, dense_run: Any, work: WorkParameters
) -> None:
    rows = check(
        images, dense_run, work, methods=("ltr", "lth"), checks=("shuffle", "inversion"), seeds=(0, 4)
    )
    assert [(row["seed"], row["method"], row["check"]) for row in rows] == [
        (seed, method, name)
        for seed in (0, 4)
        for method in ("ltr", "lth")
        for name in ("shuffle", "inversion")
    ]
    assert {row["kept"] for row in rows} == {48}


def test_typed_parameters_are_the_same_parameters(images: Any, dense_run: Any, work: WorkParameters) -> None:
    options = {"methods": ("ltr",), "checks": ("shuffle",), "seeds": (0,)}
    plain, typed = (check(images, dense_run, work, typed=typed, **options) for typed in (False, True))
    assert [row | {"seconds": 0} for row in plain] == [row | {"seconds": 0} for row in typed]


def test_the_dense_run_at_hand_is_that_of_its_seed(
    images: Any, dense_run: Any, work: WorkParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lottery_pipeline.evaluation.sanity.pretrain_again", must_not_train)
    options = {"methods": ("ltr",), "checks": ("shuffle",)}
    assert len(check(images, dense_run, work, seeds=(0,), **options)) == 1
    with pytest.raises(AssertionError, match="nothing may be trained"):
        check(images, dense_run, work, seeds=(1,), **options)


def test_a_second_call_reads_what_the_first_has_made(
    images: Any, dense_run: Any, work: WorkParameters
) -> None:
    options = {"methods": ("ltr",), "checks": ("shuffle", "reinitialise"), "seeds": (0, 1)}
    first = check(images, dense_run, work, **options)
    assert check(images, dense_run, work, **options) == first
    work.open_checkpoints().clear_used()
    assert list(work.checkpoints.iterdir()) == []


def test_the_verdicts_are_a_table_and_stand_in_the_record(
    images: Any, dense_run: Any, work: WorkParameters
) -> None:
    rows = check(images, dense_run, work, methods=("lth",), checks=("half_data",), seeds=(0, 1))
    table = summarise_sanity(rows)
    assert list(table.columns) == [
        *("method", "check", "seeds", "difference", "low", "high", "verdict", "note")
    ]
    assert (table.loc[0, "method"], table.loc[0, "seeds"]) == ("lth", 2)
    record = record_sanity(rows, table, "cpu")
    assert record["rows"] == rows
    assert record["arithmetic"]["device"] == "cpu"
    assert record["verdicts"][0]["verdict"] == table.loc[0, "verdict"]
    assert json.dumps(record, allow_nan=False)


def test_the_summary_of_nothing_is_an_empty_table_with_its_columns() -> None:
    table = summarise_sanity([])
    assert table.empty
    assert "verdict" in table.columns


def test_the_pipeline_is_a_block_with_the_verdicts_in_its_record() -> None:
    pipeline = create_pipeline()
    assert {"images", "dense_run", "params:work", "params:sanity_checks", "parameters"} <= pipeline.inputs()
    assert pipeline.outputs() == {"sanity_checks.record"}
    assert {"sanity_rows", "sanity_checks_table"} <= pipeline.all_outputs()
    assert {node.namespace for node in pipeline.nodes} == {"sanity_checks"}
