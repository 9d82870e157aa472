"""Sanity checks: nodes with tiny networks and no Kedro, and the wiring."""

from typing import Any

import pytest

from lottery_pipeline.options import SanityOptions
from lottery_pipeline.parameters import (
    METHOD_GROUPS,
    ModelParameters,
    PretrainingParameters,
    RetrainingParameters,
)
from lottery_pipeline.pipelines.sanity_checks.nodes import check_sanity, summarise_sanity
from lottery_pipeline.pipelines.sanity_checks.pipeline import create_pipeline
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
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


def check(images: Any, dense_run: Any, *, checkpoints: Any = None, typed: bool = False, **sanity: Any) -> Any:
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
        checkpoints,
    )


def test_there_is_a_row_for_every_seed_method_and_check(images: Any, dense_run: Any) -> None:
    rows = check(images, dense_run, methods=("ltr", "lth"), checks=("shuffle", "inversion"), seeds=(0, 4))
    assert [(row["seed"], row["method"], row["check"]) for row in rows] == [
        (seed, method, name)
        for seed in (0, 4)
        for method in ("ltr", "lth")
        for name in ("shuffle", "inversion")
    ]
    assert {row["kept"] for row in rows} == {48}


def test_typed_parameters_are_the_same_parameters(images: Any, dense_run: Any) -> None:
    options = {"methods": ("ltr",), "checks": ("shuffle",), "seeds": (0,)}
    plain, typed = (check(images, dense_run, typed=typed, **options) for typed in (False, True))
    assert [row | {"seconds": 0} for row in plain] == [row | {"seconds": 0} for row in typed]


def test_the_dense_run_at_hand_is_that_of_its_seed(
    images: Any, dense_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lottery_pipeline.evaluation.sanity.pretrain_again", must_not_train)
    options = {"methods": ("ltr",), "checks": ("shuffle",)}
    assert len(check(images, dense_run, seeds=(0,), **options)) == 1
    with pytest.raises(AssertionError, match="nothing may be trained"):
        check(images, dense_run, seeds=(1,), **options)


def test_a_second_call_reads_what_the_first_has_made(images: Any, dense_run: Any, tmp_path: Any) -> None:
    options = {"methods": ("ltr",), "checks": ("shuffle", "reinitialise"), "seeds": (0, 1)}
    checkpoints = Checkpoints(tmp_path, interval_seconds=0)
    first = check(images, dense_run, checkpoints=checkpoints, **options)
    assert check(images, dense_run, checkpoints=checkpoints, **options) == first
    checkpoints.clear_used()
    assert list(tmp_path.iterdir()) == []


def test_the_summary_is_a_table_and_a_figure(images: Any, dense_run: Any) -> None:
    rows = check(images, dense_run, methods=("lth",), checks=("half_data",), seeds=(0, 1))
    table, figure = summarise_sanity(rows)
    assert list(table.columns) == [
        *("method", "check", "seeds", "difference", "low", "high", "verdict", "note")
    ]
    assert (table.loc[0, "method"], table.loc[0, "seeds"]) == ("lth", 2)
    assert "LTH" in [trace.name for trace in figure.data]


def test_the_summary_of_nothing_is_an_empty_table_with_its_columns() -> None:
    table, figure = summarise_sanity([])
    assert table.empty
    assert "verdict" in table.columns
    assert len(figure.data) == 0


def test_the_pipeline_reads_the_dense_run_and_has_no_namespace() -> None:
    pipeline = create_pipeline()
    assert {"images", "dense_run", "checkpoints", "params:sanity_checks", "parameters"} <= pipeline.inputs()
    assert pipeline.all_outputs() == {"sanity_rows", "sanity_checks_table", "sanity_checks_figure"}
    assert {tag for node in pipeline.nodes for tag in node.tags} == {"sanity_checks"}
    assert [node.name for node in pipeline.nodes] == ["check_sanity", "summarise_sanity"]
