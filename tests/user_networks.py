"""Factories of networks as users bring them, each with something that a built-in does not have."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet

from lottery_pipeline.models.resnet import CifarResNet
from tests.own_model import build


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


class Flattening(nn.Module):
    """A convolution, and a way to make a vector of what it has found."""

    def __init__(self, flatten: str, num_classes: int, channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.flatten = flatten
        self.conv = nn.Conv2d(channels, 4, 3, padding=1)
        self.fc = nn.Linear(4 * image_size[0] * image_size[1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.conv(images).relu()
        if self.flatten == "reshape" or (self.flatten == "view in training" and not self.training):
            return self.fc(maps.reshape(len(maps), -1))
        if self.flatten == "strides":
            return self.fc(maps.as_strided((len(maps), maps[0].numel()), (maps[0].numel(), 1)))
        return self.fc(maps.view(len(maps), -1))


def flatten_by_view(num_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    """``view`` behind a convolution, as in many tutorials: impossible in channels-last memory."""
    return Flattening("view", num_classes, channels, image_size)


def flatten_by_view_in_training(num_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    return Flattening("view in training", num_classes, channels, image_size)


def flatten_by_strides(num_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Reads memory as it lies: in channels-last memory other numbers, and no error."""
    return Flattening("strides", num_classes, channels, image_size)


def flatten_by_reshape(num_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    return Flattening("reshape", num_classes, channels, image_size)


class Volume(nn.Module):
    """A three-dimensional convolution of images as volumes of depth one."""

    def __init__(self, num_classes: int, channels: int) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv3d(channels, 4, 3, padding=1), nn.Linear(4, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.conv(images.unsqueeze(2)).relu().mean((2, 3, 4)))


def volume(num_classes: int, channels: int) -> nn.Module:
    return Volume(num_classes, channels)


class _Hidden(nn.Module):
    """Flat pixels, two hidden layers of equal size, logits."""

    def __init__(self, num_classes: int, channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        width = channels * image_size[0] * image_size[1]
        self.a, self.b, self.fc = (
            nn.Linear(width, width),
            nn.Linear(width, width),
            nn.Linear(width, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(torch.relu(self.b(torch.relu(self.a(images.flatten(1))))))


def tied(num_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Two linear layers share a weight, but not the bias."""
    network = _Hidden(num_classes, channels, image_size)
    network.b.weight = network.a.weight
    return network


class _Tied(nn.Module):
    """Two of three hidden layers share a weight: neither is the first, so that it can carry a mark."""

    def __init__(self, num_classes: int, channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        width = channels * image_size[0] * image_size[1]
        self.first, self.rest = nn.Linear(width, width), _Hidden(num_classes, channels, image_size)
        self.rest.b.weight = self.rest.a.weight

    def forward(self, images: Tensor) -> Tensor:
        return self.rest(torch.relu(self.first(images.flatten(1))))


def tied_inside(num_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    return _Tied(num_classes, channels, image_size)


def tied_resnet(num_classes: int, channels: int) -> nn.Module:
    """A ResNet-20 in which two blocks of the first stage share a weight."""
    network = CifarResNet(20, num_classes, channels)
    network.layer1[2].conv1.weight = network.layer1[1].conv1.weight
    return network


def one_memory(num_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Two linear layers have two weights in one place."""
    network = _Hidden(num_classes, channels, image_size)
    network.b.weight = nn.Parameter(network.a.weight.data)
    return network


def expanded(num_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    """All weights of a layer are one number."""
    network = _Hidden(num_classes, channels, image_size)
    network.b.weight = nn.Parameter(torch.full((1, 1), 0.1).expand_as(network.b.weight))
    return network


def twice(num_classes: int, channels: int) -> nn.Module:
    """A block, batch norm included, is registered and called twice."""
    block = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, num_classes))
    return nn.Sequential(nn.Conv2d(channels, 6, 3, padding=1), nn.ReLU(), block, block, head)


class Embedded(nn.Module):
    """A linear layer reads with the weights of an embedding that is registered before it."""

    def __init__(self, num_classes: int, channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(4, 8)
        self.pixels = nn.Linear(channels * image_size[0] * image_size[1], 8)
        self.read, self.fc = nn.Linear(8, 4, bias=False), nn.Linear(4, num_classes)
        self.read.weight = self.embedding.weight

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        looked_up = self.embedding((flat > 0).long() + 1).mean(1)
        return self.fc(torch.relu(self.read(torch.relu(self.pixels(flat)) + looked_up)))


def parametrised(num_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    """The weight of the first layer is computed from two other tensors."""
    first = nn.utils.parametrizations.weight_norm(nn.Linear(channels * image_size[0] * image_size[1], 8))
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), nn.Linear(8, num_classes))


def pruned(num_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Masked by torch's own hooks."""
    network = build(num_classes, channels, image_size)
    nn.utils.prune.l1_unstructured(network[1], "weight", amount=0.5)
    return network


def scripted(num_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    return torch.jit.script(build(num_classes, channels, image_size))


class Heads(nn.Module):
    """Three heads: one that nobody reads, one that helps in training alone, and a decoder that waits."""

    def __init__(self, num_classes: int, channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.body = nn.Linear(channels * image_size[0] * image_size[1], 4)
        self.idle = nn.Linear(4, 10)
        self.helper = nn.Linear(4, num_classes)
        self.decoder = nn.ModuleList([nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 2))])
        self.fc = nn.Linear(4, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.body(images.flatten(1)).relu()
        self.idle(features)  # it is called, but what it says is lost
        logits = self.fc(features)
        return logits + self.helper(features) if self.training else logits


def heads(num_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    return Heads(num_classes, channels, image_size)


class CutOff(nn.Module):
    """A first layer that gets no gradient and still matters; a second that is skipped at random."""

    def __init__(self, num_classes: int, channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.body = nn.Linear(channels * image_size[0] * image_size[1], 4)
        self.skipped = nn.Linear(4, 4)
        self.fc = nn.Linear(4, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            features = self.body(images.flatten(1)).relu()
        if not self.training:
            features = self.skipped(features)
        return self.fc(features)


def cut_off(num_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    return CutOff(num_classes, channels, image_size)


class Mixture(nn.Module):
    """Weights of many kinds beside two linear layers."""

    def __init__(self, num_classes: int, side: int) -> None:
        super().__init__()
        self.embed = nn.Linear(side, 4)
        self.places = nn.Parameter(torch.zeros(1, side, 4))
        self.scale = nn.Parameter(torch.ones(1, 1, 4))
        self.norm = nn.LayerNorm((side, 4))
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.memory = nn.GRU(4, 4, batch_first=True)
        self.fc = nn.Linear(4, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.norm(self.embed(images[:, 0]) + self.places) * self.scale
        tokens = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return self.fc(self.memory(tokens)[0][:, -1])


def mixture(num_classes: int, image_size: tuple[int, int]) -> nn.Module:
    return Mixture(num_classes, image_size[1])


def two_answers(num_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Returns a pair, but only in training."""

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(channels * image_size[0] * image_size[1], num_classes)

        def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
            logits = self.fc(images.flatten(1))
            return (logits, logits) if self.training else logits

    return Pair()


def lazy_rest(num_classes: int) -> nn.Module:
    """A lazy layer that the forward pass never reaches."""

    class Rest(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.rest = nn.LazyLinear(num_classes), nn.LazyLinear(3)

        def forward(self, images: Tensor) -> Tensor:
            return self.fc(images.flatten(1))

    return Rest()


class Elementwise(nn.Linear):
    """A linear layer without a matrix product."""

    def forward(self, features: Tensor) -> Tensor:
        return (features[:, None] * self.weight).sum(-1) + self.bias


def elementwise(num_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    """The work of its first layer cannot be counted."""
    first = Elementwise(channels * image_size[0] * image_size[1], 4)
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), nn.Linear(4, num_classes))


class Preprocessed(nn.Module):
    """Pixels go through a function of the user's before the network sees them."""

    def __init__(self, change: Callable[[Tensor], Tensor], network: nn.Module) -> None:
        super().__init__()
        self.change, self.network = change, network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(self.change(images))


def detached(num_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    """No gradient reaches the pixels."""
    return Preprocessed(Tensor.detach, build(num_classes, channels, image_size))


def rounded(num_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    """The gradient by the pixels is 0."""
    return Preprocessed(Tensor.round, build(num_classes, channels, image_size))


def _root_of_nothing(images: Tensor) -> Tensor:
    return images + (0 * images).sqrt()


def without_gradient(num_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    """The gradient by the pixels is not a number."""
    return Preprocessed(_root_of_nothing, build(num_classes, channels, image_size))


class Tailed(nn.Module):
    """A small ResNet whose head is a given layer, with a gate registered behind it."""

    def __init__(self, channels: int, head: nn.Module) -> None:
        super().__init__()
        blocks = (BasicBlock(4, 4) for _ in range(3))
        stem = nn.Conv2d(channels, 4, 3, padding=1)
        self.body = nn.Sequential(stem, nn.Sequential(*blocks), nn.AdaptiveAvgPool2d(1))
        self.head, self.gate = head, nn.Linear(4, 4)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.body(images)
        gated = maps * self.gate(maps.flatten(1)).sigmoid()[:, :, None, None]
        return self.head(gated if isinstance(self.head, nn.Conv2d) else gated.flatten(1)).flatten(1)


def convolution_head(num_classes: int, channels: int) -> nn.Module:
    return Tailed(channels, nn.Conv2d(4, num_classes, 1))


def gate_behind_head(num_classes: int, channels: int) -> nn.Module:
    return Tailed(channels, nn.Linear(4, num_classes))
