"""A user's own factory, named as ``package.module:factory``: 194 prunable weights on 4x4 images."""

from torch import nn


def build(num_classes: int, channels: int = 1, image_size: tuple[int, int] = (4, 4)) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * image_size[0] * image_size[1], 8),
        nn.ReLU(),
        nn.Linear(8, 6),
        nn.ReLU(),
        nn.Linear(6, num_classes),
    )
