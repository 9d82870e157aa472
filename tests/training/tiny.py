"""Tiny images and networks for the training tests."""

import torch
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSet, ImageSplits, assemble_splits
from lottery_pipeline.training.history import CLOCK_COLUMNS


def tiny_set(count: int, *, seed: int, size: int = 6, channels: int = 1, classes: int = 3) -> ImageSet:
    """Noise with a bright row that tells the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    shape = (count, channels, size, size)
    images = torch.randint(0, 100, shape, dtype=torch.uint8, generator=generator)
    for index, label in enumerate(labels.tolist()):
        images[index, :, 2 * label] = 220
    return ImageSet(images, labels)


def tiny_images(train: int = 22, validation: int = 9, test: int = 12, **options: int) -> ImageSplits:
    sets = [tiny_set(count, seed=seed, **options) for seed, count in enumerate((train, validation, test))]
    return assemble_splits(*sets, [str(label) for label in range(options.get("classes", 3))])


class TinyNet(nn.Module):
    """Convolution, batch norm, dropout, linear: everything that has state or randomness."""

    def __init__(self, *, seed: int = 0, channels: int = 1, classes: int = 3, dropout: float = 0.25) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.conv = nn.Conv2d(channels, 4, 3, padding=1, bias=False)
            self.norm = nn.BatchNorm2d(4)
            self.dropout = nn.Dropout(dropout)
            self.fc = nn.Linear(4 * 3 * 3, classes)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.norm(self.conv(images)))
        hidden = nn.functional.max_pool2d(hidden, 2)
        return self.fc(self.dropout(hidden.flatten(1)))


def tiny_masks(model: nn.Module, *, density: float = 0.4, seed: int = 5) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weights = {name: p for name, p in model.named_parameters() if p.dim() > 1}
    return {name: torch.rand(p.shape, generator=generator) < density for name, p in weights.items()}


def untimed(history: list[dict]) -> list[dict]:
    """History rows without what depends on the clock."""
    return [{k: v for k, v in row.items() if k not in CLOCK_COLUMNS} for row in history]
