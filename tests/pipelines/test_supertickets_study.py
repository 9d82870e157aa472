"""The SuperTickets study: nodes with tiny networks and no Kedro, and the wiring."""

import json
from typing import Any

import pytest

from lottery_pipeline.options import SuperticketOptions
from lottery_pipeline.options.supertickets_study import StudyOptions
from lottery_pipeline.parameters import (
    ModelParameters,
    PretrainingParameters,
    RetrainingParameters,
    WorkParameters,
)
from lottery_pipeline.pipelines.reporting.nodes import OTHERS
from lottery_pipeline.pipelines.supertickets_study.nodes import record_study, summarise_arms, train_arms
from lottery_pipeline.pipelines.supertickets_study.pipeline import create_pipeline
from lottery_pipeline.training.dense import pretrain
from tests.evaluation.three_tasks import SUPERNET
from tests.reporting.study_rows import ARM_ROWS
from tests.tiny import OWN_MODEL, draw_images, spec_for

PRETRAINING = PretrainingParameters(epochs=2, rewind_epoch=1, batch_size=20, learning_rate=0.05)
EXTRACTION = SuperticketOptions.model_validate(
    {
        "density": 0.5,
        "density_of": "model",
        "calibration_batches": 1,
        "search": {"rho": 0.0},
        "supernet": SUPERNET.for_task("classification").model_dump(),
    }
)


@pytest.fixture(scope="module")
def images() -> Any:
    return draw_images()


@pytest.fixture(scope="module")
def dense_run(images: Any) -> Any:
    spec = spec_for(images, OWN_MODEL)
    options = {"rewind_epoch": 1, "seed": 0, "device": "cpu", "allow_factory": OWN_MODEL}
    return pretrain(images, spec, PRETRAINING.recipe(), **options)


def train(images: Any, dense_run: Any, work: WorkParameters, **study: Any) -> Any:
    return train_arms(
        images,
        dense_run,
        StudyOptions(**study),
        EXTRACTION,
        ModelParameters(name=OWN_MODEL),
        PRETRAINING,
        RetrainingParameters(epochs=1),
        "cpu",
        work,
    )


def test_there_is_a_row_for_every_seed_and_arm(images: Any, dense_run: Any, work: WorkParameters) -> None:
    rows = train(images, dense_run, work, arms=("two_in_one", "dense"), seeds=(0, 4), retrain=False)
    assert [(row["seed"], row["arm"]) for row in rows] == [
        (seed, arm) for seed in (0, 4) for arm in ("dense", "two_in_one")
    ]
    assert {row["epochs"] for row in rows if row["arm"] == "dense"} == {1.0}, "that of the retraining recipe"
    # As many weights as half of the network in model.name has.
    assert {row["kept"] for row in rows if row["arm"] == "two_in_one"} == {dense_run.metrics["prunable"] // 2}
    work.open_checkpoints().clear_used()
    assert list(work.checkpoints.iterdir()) == []


def test_the_summary_is_a_table_with_a_figure_and_stands_in_the_record() -> None:
    table, figure = summarise_arms(ARM_ROWS)
    assert list(table["arm"]) == ["dense", *["search_then_prune"] * 2, *["two_in_one"] * 2]
    assert {"difference_low", "macs_executed"} <= set(table.columns)
    record = record_study(ARM_ROWS, table, figure, "cpu")
    assert record["metrics"] == {
        "found_accuracy/dense": pytest.approx(0.97),
        "found_accuracy/search_then_prune": pytest.approx(0.31),
        "retrained_accuracy/search_then_prune": pytest.approx(0.96),
        "found_accuracy/two_in_one": pytest.approx(0.89),
        "retrained_accuracy/two_in_one": pytest.approx(0.98),
    }
    assert record["rows"] == ARM_ROWS
    assert record["arithmetic"]["device"] == "cpu"
    assert json.dumps(record, allow_nan=False)


def test_the_pipeline_is_a_block_with_one_record() -> None:
    pipeline = create_pipeline()
    assert {"images", "dense_run", "params:supertickets.extraction"} <= pipeline.inputs()
    assert "params:supertickets_study" in pipeline.inputs()
    assert pipeline.outputs() == {"supertickets_study.record"}
    assert {node.namespace for node in pipeline.nodes} == {"supertickets_study"}
    assert "supertickets_study" in OTHERS
