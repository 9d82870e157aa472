"""Studies of SuperTickets that cannot work are refused before the first node."""

from pathlib import Path
from typing import Any

import pytest

from lottery_pipeline.hooks.study_checks import check_transfer
from lottery_pipeline.options.supertickets_transfer import TransferOptions
from lottery_pipeline.parameters import (
    METHOD_GROUPS,
    DataParameters,
    ModelParameters,
    PretrainingParameters,
    RetrainingParameters,
)
from tests.kedro_project import refuse


@pytest.mark.parametrize(
    ("pipeline", "params", "sentence"),
    [
        (
            "supertickets_transfer",
            {},
            "tasks has segmentation, but data.source digits has labels for classification only; canvases has",
        ),
        (
            "supertickets_transfer",
            {"data": {"source": "canvases"}, "pretraining": {"flip": True}},
            "tasks has keypoints, which the recipe's flip does not fit; switch it off.",
        ),
        (
            "supertickets_transfer",
            {"data": {"source": "canvases"}, "retraining": {"label_smoothing": 0.1}},
            "tasks has keypoints, which the recipe's label_smoothing does not fit; switch it off.",
        ),
        (
            "supertickets_transfer",
            {"data": {"source": "canvases"}, "supertickets": {"extraction": {"density_of": "model"}}},
            "supertickets.extraction.density_of must be supernet, because the network of model.name differs",
        ),
        (
            "supertickets_study",
            {"supertickets": {"extraction": {"pruning": None}}},
            "the arms of the study differ in search and pruning, but supertickets.extraction.pruning is null",
        ),
        (
            "supertickets_study",
            {"supertickets": {"extraction": {"pruning": {"every": 1.0}}}},
            "pruned weights would never train again, because no search event",
        ),
    ],
)
def test_a_study_of_supertickets_that_cannot_work_is_refused(
    pipeline: str, params: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    message = refuse(tmp_path, pipeline, **params)
    assert message.startswith(f"Parameter {pipeline}: {sentence}")
    assert "\n" not in message


def test_a_search_that_cannot_work_for_one_task_is_refused_with_that_task() -> None:
    def ask(budget: float, *tasks: str) -> None:
        options = {"density": 0.1, "supernet": "canvas32", "search": {"mac_budget": budget}}
        parameters = {
            "data": DataParameters(source="canvases", task="segmentation"),
            "model": ModelParameters(name="supernet:canvas32"),
            "pretraining": PretrainingParameters(epochs=13, rewind_epoch=2),
            "retraining": RetrainingParameters(),
            "supertickets": METHOD_GROUPS["supertickets"](extraction=options),
            "supertickets_transfer": TransferOptions.model_validate({"tasks": tasks}),
        }
        check_transfer(parameters, Path(), None)

    ask(0.05, "segmentation", "keypoints", "classification")
    ask(0.02, "segmentation", "keypoints")
    with pytest.raises(
        ValueError, match=r"^tasks has classification, but .*mac_budget is 0\.02, but what cannot"
    ):
        ask(0.02, "segmentation", "classification")
