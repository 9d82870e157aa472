"""Factories of networks as users bring them, each with something that a built-in does not have."""

from functools import partial

from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet


def batch_statistics(num_classes: int, channels: int) -> nn.Module:
    """Batch norm that keeps no running statistics, after a convolution and on flat features."""
    return nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1),
        nn.BatchNorm2d(6, track_running_stats=False),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, padding=1),
        nn.BatchNorm2d(6, track_running_stats=False, affine=False),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, num_classes),
    )


def flat_batch_statistics(num_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Batch norm of one number per image, without running statistics: a single image has no variance."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * image_size[0] * image_size[1], 8),
        nn.BatchNorm1d(8, track_running_stats=False),
        nn.ReLU(),
        nn.Linear(8, num_classes),
    )


def group_norm_resnet(num_classes: int, channels: int) -> nn.Module:
    """A ResNet of torchvision's class, with group norm where batch norm is usual."""
    network = ResNet(BasicBlock, [2, 1, 1, 1], num_classes=num_classes, norm_layer=partial(nn.GroupNorm, 4))
    network.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    return network
