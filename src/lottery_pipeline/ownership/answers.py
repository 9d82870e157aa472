"""The answers of a suspect: of a network that can be run, of any function, or from a table."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.foreign_files import read_file
from lottery_pipeline.ownership.triggers import MAX_IMAGES, TriggerSet
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.evaluation import predict

Predict = Callable[[Tensor], Tensor]
Ask = Callable[[TriggerSet], tuple[Tensor, Tensor | None]]  # predictions on images and base images

_COLUMNS = ("prediction", "base_prediction")
_MOST_BYTES = 100 * MAX_IMAGES  # of a table: its rows may have other columns, too
_MOST_DIGITS = 9


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


def read_table(path: str | Path) -> dict[str, list[int]]:
    """Read a table for ``ask_table`` from a CSV file of somebody else; other columns are passed over.

    Raises:
        OwnershipError: the file is missing, too large, no CSV in UTF-8, or a prediction is not a class; one
            sentence.
    """
    content = read_file(path, most=_MOST_BYTES)
    try:
        names, *rows = [*csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))] or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise OwnershipError(f"{path} is not a table of comma-separated values in UTF-8: {error}") from error
    rows = [row for row in rows if row]
    return {name: _read_column(path, rows, names, name) for name in _COLUMNS if name in names}


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


def _read_column(path: str | Path, rows: list[list[str]], names: list[str], name: str) -> list[int]:
    place = names.index(name)
    texts = [row[place].strip() if place < len(row) else "" for row in rows]
    for text in texts:
        if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
            raise OwnershipError(f"{path}: column {name} has {text[:40]!r}, which is not a class from 0")
    return [int(text) for text in texts]
