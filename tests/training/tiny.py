"""Tiny images and networks for the training tests."""

import torch
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSet, ImageSplits, assemble_splits
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.supernet.config import Attention, Head, Stage, Supernet
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


def tiny_dense_images(task: str, *, size: int = 8, channels: int = 1, count: int = 18) -> ImageSplits:
    """A bright square in noise: its pixels are class 1 but for the first row; or two corners are points."""

    def draw(part: int) -> ImageSet:
        generator = torch.Generator().manual_seed(part)
        images = torch.randint(0, 60, (count, channels, size, size), dtype=torch.uint8, generator=generator)
        corners = torch.randint(0, size - 3, (count, 2), generator=generator)
        masks = torch.zeros(count, size, size, dtype=torch.int64)
        points = torch.ones(count, 2, 3, dtype=torch.int64)
        for index, (left, top) in enumerate(corners.tolist()):
            images[index, :, top : top + 4, left : left + 4] = 230
            masks[index, top : top + 4, left : left + 4] = 1
            masks[index, top, left : left + 4] = 255
        points[:, 0, :2], points[:, 1, :2] = 16 * corners + 8, 16 * (corners + 3) + 8
        return ImageSet(images, masks if task == "segmentation" else points)

    return assemble_splits(draw(0), draw(1), draw(2), ["ground", "square"])


class TinyDenseNet(nn.Module):
    """Outputs at half the size of the images."""

    def __init__(self, outputs: int, *, seed: int = 0, channels: int = 1) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.conv = nn.Conv2d(channels, 8, 5, stride=2, padding=2, bias=False)
            self.norm = nn.BatchNorm2d(8)
            self.dropout = nn.Dropout(0.1)
            self.out = nn.Conv2d(8, outputs, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        return self.out(self.dropout(torch.relu(self.norm(self.conv(images)))))


def tiny_dense_spec(images: ImageSplits, *, task: str | None = None) -> ModelSpec:
    """The smallest supernet for the task of the images, or for another."""
    supernet = Supernet(
        input_stride=1,
        stem_channels=2,
        stages=(Stage(blocks=(1,), channels=(2,)),),
        kernel_sizes=(3,),
        expand_ratio=1,
        attention=Attention(enabled=False),
        head=Head(task=task or images.task, width=4),
    )
    return ModelSpec(
        name="supernet",
        num_classes=images.num_classes,
        channels=images.channels,
        image_size=images.image_size,
        mean=images.mean,
        std=images.std,
        supernet=supernet,
    )
