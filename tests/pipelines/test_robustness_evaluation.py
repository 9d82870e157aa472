"""Robustness evaluation: its nodes with tiny networks and no Kedro."""

import json
from pathlib import Path
from typing import Any

import pytest

from lottery_pipeline.options.robustness import RobustnessOptions
from lottery_pipeline.parameters import ModelParameters, WorkParameters
from lottery_pipeline.pipelines.robustness_evaluation.nodes import (
    COLUMNS,
    draw_robustness,
    evaluate_robustness,
    record_robustness,
    tabulate_robustness,
)
from lottery_pipeline.tickets.errors import TicketError
from tests.robustness.test_evaluation import OPTIONS
from tests.tiny import draw_images, draw_masks, draw_ticket, pretrain_tiny


@pytest.fixture(scope="module")
def images() -> Any:
    return draw_images(side=6)


@pytest.fixture(scope="module")
def dense_run(images: Any) -> Any:
    return pretrain_tiny(images, "lenet_300_100")


@pytest.fixture(scope="module")
def ticket(images: Any, dense_run: Any) -> Any:
    parents = {"dense": dense_run.fingerprint, "images": images.fingerprint}
    masks = draw_masks(dense_run.final, density=0.5)
    return draw_ticket(
        spec=dense_run.spec, state=dense_run.final, masks=masks, parents=parents, kind="trained"
    )


def evaluate(images: Any, dense_run: Any, stored: Any, folder: Path, options: Any = OPTIONS, **records: Any):
    return evaluate_robustness(
        images,
        dense_run,
        stored,
        RobustnessOptions.model_validate(options),
        ModelParameters(name="lenet_300_100"),
        0,
        "cpu",
        WorkParameters(
            experiment="e", variant="v", images=folder, models=folder, checkpoints=folder / "work"
        ),
        **records,
    )


@pytest.fixture(scope="module")
def evaluation(images: Any, dense_run: Any, ticket: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = {"metrics": {"fingerprint": ticket.fingerprint}}
    folder = tmp_path_factory.mktemp("project")
    return evaluate(images, dense_run, {"ltr": lambda: ticket}, folder, ltr=made, signature_embedding=None)


def test_the_table_is_tidy(evaluation: Any) -> None:
    table = tabulate_robustness(evaluation)
    assert tuple(table.columns) == COLUMNS
    assert set(table["method"]) == {"dense", "ltr"}
    assert not table.duplicated(["method", "seed", "family", "setting", "metric"]).any()
    assert table.to_csv().count(".0\n") == 0, "the number of images is a whole number"


def test_the_record_has_the_headlines_as_metrics(evaluation: Any) -> None:
    figures = draw_robustness(evaluation)
    record = record_robustness(evaluation, tabulate_robustness(evaluation), *figures)
    assert {"robust_accuracy/ltr", "ece/dense"} <= record["metrics"].keys()
    assert json.loads(json.dumps(record, allow_nan=False))["rows"] == evaluation["rows"]


def test_four_figures_are_drawn(evaluation: Any) -> None:
    assert [bool(figure.data) for figure in draw_robustness(evaluation)] == [True] * 4


def test_a_ticket_that_another_run_has_replaced_ends_the_run(
    images: Any, dense_run: Any, ticket: Any, tmp_path: Path
) -> None:
    made = {"metrics": {"fingerprint": "0" * 64}}
    with pytest.raises(TicketError, match="another run has replaced it"):
        evaluate(images, dense_run, {"ltr": lambda: ticket}, tmp_path, ltr=made)


def test_a_record_without_a_ticket_is_passed_over(
    images: Any, dense_run: Any, ticket: Any, tmp_path: Path
) -> None:
    options = {**OPTIONS, "adversarial": None, "corruptions": None, "out_of_distribution": None}
    unsigned = {"metrics": {"verdict": "not signed"}}
    found = evaluate(images, dense_run, {}, tmp_path, options, signature_embedding=unsigned)
    assert [network["method"] for network in found["networks"]] == ["dense"]
