"""Transfer of SuperTickets: nodes with tiny networks and no Kedro, and the wiring."""

import json
from pathlib import Path
from typing import Any

import pytest

from lottery_pipeline.images import preparation
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.options import SuperticketOptions
from lottery_pipeline.options.supertickets_transfer import TransferOptions
from lottery_pipeline.parameters import (
    DataParameters,
    PretrainingParameters,
    RetrainingParameters,
    WorkParameters,
)
from lottery_pipeline.pipelines.reporting.nodes import OTHERS
from lottery_pipeline.pipelines.supertickets_transfer.nodes import (
    prepare_tasks,
    record_transfers,
    summarise_transfers,
    train_transfers,
)
from lottery_pipeline.pipelines.supertickets_transfer.pipeline import create_pipeline
from lottery_pipeline.training.dense import pretrain
from tests.evaluation.three_tasks import draw_tasks, specify
from tests.reporting.study_rows import MOVES

PRETRAINING = PretrainingParameters(epochs=2, rewind_epoch=1, batch_size=9, learning_rate=0.05)
EXTRACTION = SuperticketOptions.model_validate(
    {"density": 0.5, "density_of": "supernet", "calibration_batches": 1, "search": {"rho": 0.0}}
)
DATA = DataParameters(source="canvases", task="segmentation", image_size=24)


@pytest.fixture(scope="module")
def tasks() -> dict[str, ImageSplits]:
    return draw_tasks()


@pytest.fixture
def asked(tasks: dict[str, ImageSplits], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The images that are prepared."""
    seen = []

    def prepare(request: DataParameters, *, seed: int) -> ImageSplits:
        seen.append((request, seed))
        return tasks[request.task]

    monkeypatch.setattr(preparation, "prepare_images", prepare)
    return seen


def test_the_images_of_the_run_are_taken_and_the_others_differ_in_their_task_alone(
    tasks: dict[str, ImageSplits], asked: list[Any]
) -> None:
    chosen = TransferOptions(tasks=("keypoints", "segmentation"))
    images = prepare_tasks(Path(), tasks["segmentation"], DATA, chosen, 3)
    assert list(images) == ["keypoints", "segmentation"]
    assert images["segmentation"] is tasks["segmentation"]
    assert asked == [(DATA.model_copy(update={"task": "keypoints", "storage": "memory"}), 3)]


@pytest.mark.usefixtures("asked")
def test_there_is_a_row_for_every_seed_source_target_and_arm(
    tasks: dict[str, ImageSplits], work: WorkParameters
) -> None:
    images = tasks["segmentation"]
    dense_run = pretrain(images, specify(images), PRETRAINING.recipe(), rewind_epoch=1, seed=0, device="cpu")
    rows = train_transfers(
        Path(),
        images,
        dense_run,
        TransferOptions(tasks=("keypoints", "segmentation"), controls=(), seeds=(1, 2)),
        EXTRACTION,
        DATA,
        PRETRAINING,
        RetrainingParameters(epochs=1),
        0,
        "cpu",
        work,
    )
    assert [(row["seed"], row["source"], row["target"], row["arm"]) for row in rows] == [
        (seed, source, target, arm)
        for seed in (1, 2)
        for source, target, arm in (
            ("keypoints", "keypoints", "supernet"),
            ("keypoints", "segmentation", "transferred"),
            ("segmentation", "segmentation", "supernet"),
            ("segmentation", "keypoints", "transferred"),
        )
    ]
    assert {row["epochs"] for row in rows} == {1.0}


def test_the_summary_is_a_table_with_a_figure_and_stands_in_the_record() -> None:
    table, figure = summarise_transfers(MOVES)
    assert {"early_difference_low", "macs_theoretical"} <= set(table.columns)
    record = record_transfers(MOVES, table, figure, "cpu")
    assert record["metrics"]["transferred_accuracy/segmentation_to_keypoints"] == pytest.approx(0.51)
    assert record["metrics"]["direct_accuracy/keypoints_to_keypoints"] == pytest.approx(0.6)
    assert record["rows"] == MOVES
    assert record["arithmetic"]["device"] == "cpu"
    assert json.dumps(record, allow_nan=False)


def test_the_pipeline_is_a_block_with_one_record() -> None:
    pipeline = create_pipeline()
    assert {"raw_images", "images", "dense_run", "params:data"} <= pipeline.inputs()
    assert {"params:supertickets.extraction", "params:supertickets_transfer"} <= pipeline.inputs()
    assert pipeline.outputs() == {"supertickets_transfer.record"}
    assert {node.namespace for node in pipeline.nodes} == {"supertickets_transfer"}
    assert "supertickets_transfer" in OTHERS
