"""The built model: input normalisation first, then the network, so that inputs are pixels in [0, 1]."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


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

    Parameter names start with ``network.``.
    """

    def __init__(self, normalise: Normalise, network: nn.Module) -> None:
        super().__init__()
        self.normalise = normalise
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [N, classes] of pixels in [0, 1], [N, C, H, W]."""
        logits: Tensor = self.network(self.normalise(images))
        return logits
