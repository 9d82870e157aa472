"""The weights of torchvision that lie in the cache of ``torch.hub``; nothing is downloaded."""

from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from torchvision.models import get_model_weights

from lottery_pipeline.models.names import TORCHVISION_PREFIX
from lottery_pipeline.models.weights.choice import WeightsError


def find_cached(weights: str, model: str) -> Path:
    """Return the file of named weights.

    Args:
        weights: as ``names_torchvision`` allows it.
        model: ``torchvision:<name>``.

    Raises:
        WeightsError: this network has no such weights, or their file is not in the cache.
    """
    chosen = _choose(weights, model)
    name = model.removeprefix(TORCHVISION_PREFIX)
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(chosen.url).path).name
    if not path.is_file():
        raise WeightsError(
            f"{weights} of {model} is looked for in {path}, which is not there, and nothing is downloaded "
            f"here; torchvision.models.{name}(weights={chosen.name!r}) in Python puts it there"
        )
    return path


def find_statistics(weights: str, model: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation per channel of the pixels that named weights were trained with."""
    transforms = _choose(weights, model).transforms()
    return tuple(transforms.mean), tuple(transforms.std)


def _choose(weights: str, model: str) -> Any:
    if not model.startswith(TORCHVISION_PREFIX):
        raise WeightsError(
            f"{weights} names weights of torchvision, but the model is {model}; choose torchvision:<name>, "
            "or give the path of a file (./ before its name if it looks like this)"
        )
    known: Any = get_model_weights(model.removeprefix(TORCHVISION_PREFIX))
    kind, _, name = weights.rpartition(".")
    if kind not in ("", known.__name__) or name not in known.__members__:
        allowed = ", ".join(known.__members__)
        raise WeightsError(f"{model} has no weights {weights}; allowed are {allowed} of {known.__name__}")
    return known[name]
