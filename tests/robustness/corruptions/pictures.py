"""Pictures for the tests of the corruptions."""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter


def draw_smooth(count: int, height: int, width: int, channels: int, seed: int = 0) -> np.ndarray:
    """Return smooth pictures with edges, uint8 ``[N, H, W, C]``, rather like photographs."""
    generator = np.random.default_rng(seed)
    noise = generator.standard_normal((count, height, width, channels))
    smooth = gaussian_filter(noise, (0, 2, 2, 0))
    spread = smooth.std(axis=(1, 2, 3), keepdims=True)
    bright = np.where(gaussian_filter(noise[..., :1], (0, 3, 3, 0)) > 0, 30, -30)
    return (110 + 35 * smooth / spread + bright).clip(0, 255).astype(np.uint8)


def draw_random(count: int, height: int, width: int, channels: int, seed: int = 0) -> np.ndarray:
    """Return pictures of independent values, uint8 ``[N, H, W, C]``."""
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, channels), dtype=np.uint8)


def to_tensor(pictures: np.ndarray) -> torch.Tensor:
    """Return ``[N, H, W, C]`` as a tensor ``[N, C, H, W]``."""
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))


def fill(value: int, height: int = 8, width: int = 8, channels: int = 3, count: int = 1) -> np.ndarray:
    """Return pictures of one value."""
    return np.full((count, height, width, channels), value, dtype=np.uint8)


def generators(count: int, seed: int = 0) -> list[np.random.Generator]:
    """Return a generator for each picture."""
    return [np.random.default_rng([seed, index]) for index in range(count)]
