"""Common corruptions of images (arXiv 1903.12261), for any size from 4 x 4 and for 1 or 3 channels.

These are our own generators with the severities of CIFAR-10-C. What they make is called "C-like" and never
CIFAR-10-C: the draws differ, and two are missing. Frost needs pictures of ice, and snow is a chain of seven
steps, most of them in other programs. The published files are read by ``published``.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from lottery_pipeline.images.request import ImageError
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.robustness.corruptions.blurs import defocus_blur, glass_blur, motion_blur, zoom_blur
from lottery_pipeline.robustness.corruptions.digital import contrast, jpeg_compression, pixelate
from lottery_pipeline.robustness.corruptions.elastic import elastic_transform
from lottery_pipeline.robustness.corruptions.names import SEVERITIES
from lottery_pipeline.robustness.corruptions.noises import gaussian_noise, impulse_noise, shot_noise
from lottery_pipeline.robustness.corruptions.weather import brightness, fog

# Images uint8 [N, H, W, C], a severity, one generator for each image -> images.
Corrupt = Callable[[np.ndarray, int, Iterable[Generator]], np.ndarray]

SMALLEST_SIDE = 4
# Images are worked on in parts whose float64 values fit in the processor's cache.
_VALUES_AT_ONCE = 2**17


def _without_chance(function: Callable[[np.ndarray, int], np.ndarray]) -> Corrupt:
    return lambda images, severity, _: function(images, severity)


CORRUPTIONS: dict[str, Corrupt] = {
    "gaussian_noise": gaussian_noise,
    "shot_noise": shot_noise,
    "impulse_noise": impulse_noise,
    "defocus_blur": _without_chance(defocus_blur),
    "glass_blur": glass_blur,
    "motion_blur": motion_blur,
    "zoom_blur": _without_chance(zoom_blur),
    "fog": fog,
    "brightness": _without_chance(brightness),
    "contrast": _without_chance(contrast),
    "elastic_transform": elastic_transform,
    "pixelate": _without_chance(pixelate),
    "jpeg_compression": _without_chance(jpeg_compression),
}


def corrupt(images: Tensor, name: str, severity: int, *, seed: int, indices: Sequence[int]) -> Tensor:
    """Corrupt images; each result depends on its image, the seed, name, severity and index alone.

    Args:
        images: uint8 ``[N, C, H, W]`` on the CPU, 1 or 3 channels, sides of at least 4 pixels.
        name: one of ``CORRUPTIONS``.
        severity: 1 to 5.
        seed: of the draws.
        indices: of the images in their set, one each; an image keeps its draws in whatever company.

    Returns:
        uint8 ``[N, C, H, W]``, contiguous.

    Raises:
        ImageError: an unknown corruption or severity, or images that are too small or of other channels.
    """
    if name not in CORRUPTIONS:
        raise ImageError(f"{name!r} is not a valid corruption; allowed are {', '.join(CORRUPTIONS)}")
    if severity not in SEVERITIES:
        raise ImageError(f"{severity!r} is not a valid severity; allowed are 1 to 5")
    if images.shape[1] not in (1, 3) or min(images.shape[2:]) < SMALLEST_SIDE:
        raise ImageError(
            "corruptions need images of 1 or 3 channels and at least "
            f"{SMALLEST_SIDE} x {SMALLEST_SIDE} pixels, got shape {tuple(images.shape[1:])}"
        )
    if len(indices) != len(images):
        raise ImageError(f"each image needs an index, got {len(indices)} for {len(images)} images")
    pixels = np.ascontiguousarray(images.numpy().transpose(0, 2, 3, 1))
    step = max(1, _VALUES_AT_ONCE // images.shape[1:].numel())
    parts = []
    for start in range(0, len(pixels), step):
        generators = _make_generators(seed, name, severity, indices[start : start + step])
        parts.append(CORRUPTIONS[name](pixels[start : start + step], severity, generators))
    joined = np.concatenate([pixels[:0], *parts])
    return torch.from_numpy(np.ascontiguousarray(joined.transpose(0, 3, 1, 2)))


def _make_generators(seed: int, name: str, severity: int, indices: Sequence[int]) -> Iterator[Generator]:
    for index in indices:
        yield np.random.default_rng(derive_seed(seed, "corruption", name, severity, index))
