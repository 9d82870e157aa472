"""Residual networks and dense runs for the tests of layer tickets: nothing is trained."""

import torch
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.resnet import BasicBlock
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.recipe import Recipe
from tests.tiny import spec_for

RECIPE = Recipe(learning_rate=0.1, epochs=2, batch_size=6)
BLOCKS = ("layer1.0", "layer1.1", "layer1.2")


class SmallResNet(nn.Module):
    """A stem, three blocks of two channels, and a classifier without batch norm: 240 prunable weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 2, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(2)
        self.layer1 = nn.Sequential(*(BasicBlock(2, 2, 1) for _ in range(3)))
        self.fc = nn.Linear(2, 3)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.bn1(self.conv1(images)).relu()
        return self.fc(self.layer1(hidden).mean((2, 3)))


def small_resnet(*, epsilon: float = 1e-5) -> SmallResNet:
    """In float64, with random parameters and running averages."""
    network = SmallResNet().double()
    scramble_(network)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = epsilon
    return network


def scramble_(model: nn.Module, seed: int = 0) -> None:
    """Give every parameter and every running average a random value; variances stay positive."""
    generator = make_generator(seed, "scramble")
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if "num_batches" in name:
            tensor.fill_(7)
        elif tensor.is_floating_point() and "normalise" not in name:
            noise = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
            small = 0.3 * noise / max(1, tensor[0].numel()) ** 0.5 if tensor.dim() > 1 else 0.3 * noise
            tensor.data.copy_(1 + small.abs() if "running_var" in name else small + (tensor.dim() == 1))


def draw_batch(count: int = 9, side: int = 5) -> tuple[Tensor, Tensor]:
    generator = make_generator(1, "batch")
    return torch.rand(count, 1, side, side, generator=generator, dtype=torch.float64), torch.arange(count) % 3


def untrained_run(images: ImageSplits, name: str = "resnet20", *, seed: int = 0) -> DenseRun:
    """A dense run whose three states are three random networks: what is scored where can be told apart."""
    spec, states = spec_for(images, name), []
    for offset in range(3):
        model = build_model(spec, seed=seed)
        if offset:
            scramble_(model, seed + offset)
        states.append(model.state_dict())
    return DenseRun(spec, RECIPE, seed, 2, *states, [], {}, images.fingerprint, f"{seed:064x}")
