"""What ``model.weights`` may be: a file, or the name of weights of torchvision. Imports no torch."""

import re
from pathlib import Path

_OF_TORCHVISION = re.compile(r"([A-Z]\w*_Weights\.)?(DEFAULT|IMAGENET1K_[A-Z0-9_]+)", re.ASCII)


class WeightsError(ValueError):
    """Weights that are not there, cannot be read, or belong to another network."""


class MisfitError(WeightsError):
    """Weights whose shapes are not those of the network; other images may change that."""


def names_torchvision(weights: str) -> bool:
    """Whether ``model.weights`` has the form of a name such as ``ResNet18_Weights.IMAGENET1K_V1``."""
    return _OF_TORCHVISION.fullmatch(weights) is not None


def resolve_weights(weights: str, folder: Path) -> str:
    """Let a relative path start at a folder; a name of torchvision stays."""
    return weights if names_torchvision(weights) else str(folder / Path(weights).expanduser())


def hide_folder(weights: str) -> str:
    """Return what others may read: the name of the file without its folders."""
    return Path(weights).name
