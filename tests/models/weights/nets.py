"""A small network with all kinds of tensors, and its weights as people save them."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lottery_pipeline.models.classifier import Classifier, Normalise


class Net(nn.Module):
    """Convolution, batch norm, linear: 11 tensors."""

    def __init__(self, classes: int = 3, channels: int = 3, width: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.hidden = nn.Linear(width, 5)
        self.fc = nn.Linear(5, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.hidden(torch.relu(self.norm(self.conv(images))).mean((2, 3))))


def draw(*, seed: int = 0, **sizes: int) -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        net = Net(**sizes)
        net.norm.running_mean.normal_()
        net.norm.running_var.uniform_(0.5, 2)
    return net


def classifier(*, seed: int = 9, channels: int = 3, **sizes: int) -> Classifier:
    """What the weights are for: of another seed, so that every tensor that is taken differs."""
    return Classifier(
        Normalise((0.5,) * channels, (0.5,) * channels), draw(seed=seed, channels=channels, **sizes)
    )


def prefixed(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}
