"""The built model: input normalisation first, then the network, so that inputs are pixels in [0, 1]."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from lottery_pipeline.models.ties import find_ties, tie_


class Normalise(nn.Module):
    """Subtract a mean and divide by a standard deviation, per channel.

    The statistics come from the model specification; they are not in the state dict and are never trained.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).reshape(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Normalise images [N, C, H, W] in [0, 1]."""
        return (images - self.mean) / self.std


class Classifier(nn.Module):
    """Normalisation and network: pixels in [0, 1], [N, C, H, W], to logits [N, classes].

    Parameter names start with ``network.``. A tensor that the network has under several names stays one
    tensor wherever the classifier is moved, and is in its state dict once, under its first name.

    Attributes:
        behaviour: that of its specification, which names what the code of others computes.
    """

    behaviour: str | None = None

    def __init__(self, normalise: Normalise, network: nn.Module) -> None:
        super().__init__()
        self.normalise = normalise
        self.network = network
        self.register_state_dict_post_hook(_leave_out_ties)
        self.register_load_state_dict_pre_hook(_fill_in_ties)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [N, classes] of pixels in [0, 1], [N, C, H, W]."""
        logits: Tensor = self.network(self.normalise(images))
        return logits

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        ties = find_ties(self)
        super()._apply(fn, recurse)
        tie_(self, ties)
        return self


def _leave_out_ties(model: nn.Module, state: dict[str, Any], prefix: str, _metadata: Any) -> None:
    for name in find_ties(model):
        state.pop(f"{prefix}{name}", None)


def _fill_in_ties(model: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for name, known in find_ties(model).items():
        if f"{prefix}{known}" in state:
            state[f"{prefix}{name}"] = state[f"{prefix}{known}"]
