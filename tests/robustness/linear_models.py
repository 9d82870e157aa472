"""Linear networks, whose distance to the boundary is known in closed form, and one that is not linear."""

import torch
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.robustness.threat import Threat


class LinearNet(nn.Module):
    """Logits W x + b of the pixels."""

    def __init__(
        self, classes: int, *, shape: tuple[int, int, int] = (1, 4, 4), scale: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        pixels = shape[0] * shape[1] * shape[2]
        self.weight = nn.Parameter(scale * torch.randn(classes, pixels, generator=generator))
        # Grey images lie on every boundary, so images near grey have all classes.
        self.bias = nn.Parameter(-0.5 * self.weight.detach().sum(1))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T + self.bias


class BentNet(nn.Module):
    """A small network whose loss is not linear in the pixels; grey images are near boundaries."""

    def __init__(self, classes: int = 4, *, pixels: int = 16, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.first = nn.Parameter(torch.randn(24, pixels, generator=generator))
        self.second = nn.Parameter(torch.randn(classes, 24, generator=generator))

    def forward(self, images: Tensor) -> Tensor:
        return torch.sin(3 * (images - 0.5).flatten(1) @ self.first.T) @ self.second.T


def draw_pixels(
    count: int, *, shape: tuple[int, int, int] = (1, 4, 4), low: float = 0.4, high: float = 0.6, seed: int = 1
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(count, *shape, generator=generator)


def predict(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model(images).argmax(1)


def draw_images(model: nn.Module, count: int, *, shape: tuple[int, int, int] = (1, 4, 4)) -> ImageSet:
    """8-bit images near grey, with the classes that the network gives them."""
    images = (draw_pixels(count, shape=shape) * 255).round().to(torch.uint8)
    return ImageSet(images, predict(model, images / 255))


def find_radii(model: LinearNet, images: Tensor, labels: Tensor, norm: str) -> Tensor:
    """The distance to the nearest boundary: the least margin over the dual length of its gradient."""
    with torch.no_grad():
        logits = model(images).double()
        weight = model.weight.double()
        difference = weight[labels][:, None] - weight[None]  # [N, K, pixels]
        length = torch.linalg.vector_norm(difference, ord=1 if norm == "Linf" else 2, dim=2)
        margin = logits.gather(1, labels[:, None]) - logits
        radii = margin / length
        radii[torch.arange(len(labels)), labels] = torch.inf
        return radii.amin(1)


def split_by_radius(
    model: LinearNet, images: Tensor, labels: Tensor, threat: Threat
) -> tuple[Tensor, Tensor]:
    """Which images must fall and which must stand; those at the very edge are in neither."""
    radii = find_radii(model, images, labels, threat.norm)
    return radii < threat.eps * (1 - 1e-3), radii > threat.eps * (1 + 1e-3)


def middle_eps(model: LinearNet, images: Tensor, labels: Tensor, norm: str) -> float:
    return float(find_radii(model, images, labels, norm).median())
