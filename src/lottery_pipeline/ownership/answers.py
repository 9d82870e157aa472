"""The answers of a suspect: of a network that can be run, of any function, or from a table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.triggers import TriggerSet
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.evaluation import predict

Predict = Callable[[Tensor], Tensor]
Ask = Callable[[TriggerSet], tuple[Tensor, Tensor | None]]  # predictions on images and base images


def ask_model(predict: Predict) -> Ask:
    """Ask a suspect that can be run, by whatever function its predictions are to be had.

    Args:
        predict: uint8 images ``[N, C, H, W]`` to classes ``[N]``, int64.
    """
    return lambda triggers: (
        predict(triggers.images),
        None if triggers.bases is None else predict(triggers.bases),
    )


def predict_with(model: nn.Module, device: str = "cpu") -> Predict:
    """Return the predictions of a network that takes pixels in [0, 1]."""
    place = pick_device(device)

    def classify(images: Tensor) -> Tensor:
        unlabelled = ImageSet(images, torch.zeros(len(images), dtype=torch.int64))
        return predict(model, unlabelled, device=place).classes

    return classify


def ask_table(table: Mapping[str, Sequence[Any]]) -> Ask:
    """Take predictions from a table, of a suspect that nobody here can run.

    Args:
        table: columns ``prediction`` and, for triggers with base images, ``base_prediction``: a class from 0
            for each disclosed image, in their order.

    Raises:
        OwnershipError: a column is missing, too short, or holds something else.
    """

    def read(column: str, count: int) -> Tensor:
        values = list(table.get(column, ()))
        if len(values) != count or any(type(value) is not int for value in values):
            raise OwnershipError(
                f"the predictions need a column {column} with {count} whole numbers, one for each image"
            )
        return torch.tensor(values, dtype=torch.int64)

    return lambda triggers: (
        read("prediction", len(triggers)),
        None if triggers.bases is None else read("base_prediction", len(triggers)),
    )
