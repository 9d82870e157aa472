"""AugMix: an image is mixed with chains of random operations on itself (arXiv 1912.02781).

Three chains of one to three operations, severity 3, mixed with Dirichlet(1) weights and then with the image
in a Beta(1, 1) share, as in the authors' code. Two deviations: all images of a batch are changed at once, and
pixels that a movement brings in from outside fade at the edge, as torchvision's do. The Jensen-Shannon loss
of the paper, which triples every batch, is not part of it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

OPERATIONS = (
    "autocontrast",
    "equalize",
    "posterize",
    "solarize",
    "rotate",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)
_MOVEMENTS = OPERATIONS[4:]
_CHAINS, _LONGEST = 3, 3
_SEVERITY = 3.0
_LEAST_LEVEL, _HIGHEST_LEVEL = 0.1, 10.0
_LARGEST_ANGLE, _LARGEST_SHEAR, _LARGEST_SHIFT = 30, 0.3, 1 / 3  # degrees, pixels per pixel, of the image


@dataclass(frozen=True, eq=False)
class Mixtures:
    """What happens to each of N images.

    Attributes:
        operations: place in ``OPERATIONS``, [N, chains, longest]; -1 after the end of a chain.
        levels: strength of each operation between 0.1 and 3, [N, chains, longest].
        signs: -1 or 1: the way in which an image is moved, likewise.
        weights: of the chains, [N, chains]; they add up to 1.
        shares: of the mixed chains in the result, [N], between 0 and 1.
    """

    operations: Tensor
    levels: Tensor
    signs: Tensor
    weights: Tensor
    shares: Tensor

    def part(self, chosen: slice) -> "Mixtures":
        """Return those of some of the images."""
        return Mixtures(
            self.operations[chosen],
            self.levels[chosen],
            self.signs[chosen],
            self.weights[chosen],
            self.shares[chosen],
        )


def draw_mixtures(count: int, generator: torch.Generator) -> Mixtures:
    """Draw what happens to ``count`` images, on the CPU."""
    shape = (count, _CHAINS, _LONGEST)
    operations = torch.randint(len(OPERATIONS), shape, generator=generator)
    lengths = torch.randint(1, _LONGEST + 1, (count, _CHAINS, 1), generator=generator)
    levels = _LEAST_LEVEL + (_SEVERITY - _LEAST_LEVEL) * torch.rand(shape, generator=generator)
    signs = 2.0 * torch.randint(2, shape, generator=generator) - 1
    weights = torch.empty(count, _CHAINS).exponential_(generator=generator)
    return Mixtures(
        torch.where(torch.arange(_LONGEST) < lengths, operations, -1),
        levels,
        signs,
        weights / weights.sum(1, keepdim=True),  # Dirichlet(1, 1, 1)
        torch.rand(count, generator=generator),  # Beta(1, 1)
    )


def mix_images(images: Tensor, mixtures: Mixtures) -> Tensor:
    """Mix images with chains of operations on themselves.

    Every operation takes and gives whole numbers, as if on uint8; the mixture is not rounded.

    Args:
        images: float32 [B, C, H, W] on any device, whole numbers 0..255.
        mixtures: of these B images, on the CPU.

    Returns:
        float32 [B, C, H, W], 0..255.
    """
    count, device = len(images), images.device
    chains = images.repeat(_CHAINS, 1, 1, 1)  # chain by chain
    operations, levels, signs = (
        drawn.transpose(0, 1).reshape(_CHAINS * count, _LONGEST)
        for drawn in (mixtures.operations, mixtures.levels, mixtures.signs)
    )
    for place in range(_LONGEST):
        for numbers, operation in _GROUPS:
            chosen = torch.isin(operations[:, place], numbers).nonzero()[:, 0]
            if len(chosen):
                picked = chosen.to(device)
                changed = operation(
                    chains.index_select(0, picked),
                    operations[chosen, place],
                    levels[chosen, place],
                    signs[chosen, place],
                )
                chains.index_copy_(0, picked, changed)
    weights = mixtures.weights.t().reshape(_CHAINS, count, 1, 1, 1).to(device)
    shares = mixtures.shares.view(count, 1, 1, 1).to(device)
    mixed = (chains.view(_CHAINS, *images.shape) * weights).sum(0)
    return images.lerp(mixed, shares).clamp_(0, 255)  # the weights add up to 1 but for rounding


def stretch_contrast(images: Tensor) -> Tensor:
    """Stretch each channel of whole numbers to 0..255, [B, C, H, W]; a channel of one value stays."""
    least, most = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    width = most - least
    return torch.where(width > 0, ((images - least) * 255 / width.clamp_min(1)).floor(), images)


def equalise(images: Tensor) -> Tensor:
    """Make the histogram of each channel flat, as Pillow does it; whole numbers 0..255, [B, C, H, W]."""
    values = images.flatten(2).long()
    counts = torch.zeros(*values.shape[:2], 256, dtype=torch.int64, device=images.device)
    counts.scatter_add_(2, values, torch.ones_like(values))
    last = counts.gather(2, values.amax(2, keepdim=True))
    step = (values.shape[2] - last) // 255
    before = counts.cumsum(2) - counts
    table = ((before + step // 2) // step.clamp_min(1)).clamp_max(255)
    found = table.gather(2, values).view(images.shape).to(images.dtype)
    return torch.where(step[..., None] > 0, found, images)


def posterise(images: Tensor, bits: Tensor) -> Tensor:
    """Keep only the highest bits of each whole number; bits [B], 1 to 8."""
    unit = (2.0 ** (8 - bits)).view(-1, 1, 1, 1).to(images.device, images.dtype)
    return (images / unit).floor() * unit


def solarise(images: Tensor, thresholds: Tensor) -> Tensor:
    """Invert the values at or above a threshold, [B], 0 to 256."""
    bounds = thresholds.view(-1, 1, 1, 1).to(images.device, images.dtype)
    return torch.where(images >= bounds, 255 - images, images)


def move(images: Tensor, matrices: Tensor) -> Tensor:
    """Move images with bilinear interpolation; what comes from outside is 0; whole numbers again.

    Args:
        images: float32 [B, C, H, W].
        matrices: [B, 2, 3]: from a place in the result to the place it comes from, (x, y) in pixels from the
            middle of the image.
    """
    height, width = images.shape[2:]
    # grid_sample counts from -1 to 1 in either direction.
    units = torch.tensor([[1, height / width, 2 / width], [width / height, 1, 2 / height]])
    grid = F.affine_grid((matrices * units).to(images.device), list(images.shape), align_corners=False)
    found = F.grid_sample(images, grid, padding_mode="zeros", align_corners=False)
    return found.round_().clamp_(0, 255)


def plan_movements(operations: Tensor, levels: Tensor, signs: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the matrices of ``move`` for movements of images of a height and width in pixels: [B, 2, 3].

    Angles are whole degrees and shifts whole pixels, so images below 10 pixels are not shifted at all. Shears
    leave the upper left corner where it is.
    """
    height, width = size
    strengths = levels / _HIGHEST_LEVEL
    angles = torch.deg2rad(signs * (strengths * _LARGEST_ANGLE).floor())
    shears = signs * strengths * _LARGEST_SHEAR
    shifts = [signs * (strengths * side * _LARGEST_SHIFT).floor() for side in (width, height)]
    rotate, shear_x, shear_y, translate_x, translate_y = (
        operations == OPERATIONS.index(name) for name in _MOVEMENTS
    )
    angles, slopes_x, slopes_y = angles * rotate, shears * shear_x, shears * shear_y
    first = [angles.cos(), slopes_x - angles.sin(), slopes_x * height / 2 + shifts[0] * translate_x]
    second = [slopes_y + angles.sin(), angles.cos(), slopes_y * width / 2 + shifts[1] * translate_y]
    return torch.stack([torch.stack(first, 1), torch.stack(second, 1)], 1)


def _posterise(images: Tensor, _operations: Tensor, levels: Tensor, _signs: Tensor) -> Tensor:
    return posterise(images, 4 - (levels * 4 / _HIGHEST_LEVEL).floor())


def _solarise(images: Tensor, _operations: Tensor, levels: Tensor, _signs: Tensor) -> Tensor:
    return solarise(images, 256 - (levels * 256 / _HIGHEST_LEVEL).floor())


def _move(images: Tensor, operations: Tensor, levels: Tensor, signs: Tensor) -> Tensor:
    height, width = images.shape[2:]
    return move(images, plan_movements(operations, levels, signs, (height, width)))


def _numbers(*names: str) -> Tensor:
    return torch.tensor([OPERATIONS.index(name) for name in names])


_Operation = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
# All movements are one: a single interpolation for them is several times faster than five.
_GROUPS: tuple[tuple[Tensor, _Operation], ...] = (
    (_numbers("autocontrast"), lambda images, *_: stretch_contrast(images)),
    (_numbers("equalize"), lambda images, *_: equalise(images)),
    (_numbers("posterize"), _posterise),
    (_numbers("solarize"), _solarise),
    (_numbers(*_MOVEMENTS), _move),
)
