"""Random masks with chosen layer densities (Su et al., NeurIPS 2020; Evci et al., ICML 2020 for ERK)."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options.saliency import Allocation, RandomOptions
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.search.extraction import Extraction, Search
from lottery_pipeline.search.outlook import Outlook
from lottery_pipeline.search.saliency import extract_by_scores
from lottery_pipeline.sparsity.allocation import (
    allocate_erk,
    allocate_smart_ratio,
    allocate_uniform,
    kept_count,
)
from lottery_pipeline.sparsity.masks import Masks
from lottery_pipeline.sparsity.selection import Scores, keep_top_k


def random_scores(
    weights: Mapping[str, Tensor],
    k: int,
    *,
    seed: int,
    allocation: Allocation = "erk",
    vgg: bool = False,
) -> Scores:
    """Draw scores whose k highest form a random mask with the layer densities of an allocation.

    Args:
        weights: only their shapes count, in forward order.
        k: number of weights to keep in all.
        seed: determines the draw.
        allocation: as in ``RandomOptions``.
        vgg: use the smart ratios for VGG.

    Returns:
        Uniform in [0, 1), float64, on the CPU; with an allocation by layers 1 is added to what a layer keeps.

    Raises:
        DensityError: the allocation cannot keep k weights.
    """
    generator = make_generator(seed, "random_mask")
    draws = {
        name: torch.rand(weight.shape, generator=generator, dtype=torch.float64)
        for name, weight in weights.items()
    }
    if allocation == "global":
        return draws
    masks = keep_top_k(draws, allocate(weights, k, allocation, vgg=vgg), scope="layer")
    return {name: draw + masks[name] for name, draw in draws.items()}


def allocate(weights: Mapping[str, Tensor], k: int, allocation: Allocation, *, vgg: bool) -> dict[str, int]:
    """Return how many of k weights each layer keeps; arguments and errors as in ``random_scores``."""
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    if allocation == "erk":
        return allocate_erk(shapes, k)
    if allocation == "smart_ratio":
        return allocate_smart_ratio(shapes, k, vgg=vgg)
    return allocate_uniform({name: math.prod(shape) for name, shape in shapes.items()}, k)


def extract_random(search: Search, options: RandomOptions) -> Extraction:
    """Draw a random ticket, on the CPU whatever the device; errors as in ``extract_by_scores``."""

    def draw(model: nn.Module, *, ignore_layers: Iterable[str], **_: Masks) -> Scores:
        weights, vgg = prunable_parameters(model, ignore_layers), "vgg" in search.dense.spec.name
        kept = kept_count(options.density, sum(weight.numel() for weight in weights.values()))
        return random_scores(weights, kept, seed=search.seed, allocation=options.allocation, vgg=vgg)

    return extract_by_scores("random", draw, replace(search, device="cpu"), options)


def check_random(outlook: Outlook, options: RandomOptions) -> None:
    """Refuse a density that the allocation cannot reach in this network; ``DensityError``."""
    spec = outlook.network
    if spec is not None and options.allocation != "global":
        weights = prunable_parameters(build_model(spec, seed=0, device="meta"), spec.ignore_layers)
        kept = kept_count(options.density, sum(weight.numel() for weight in weights.values()))
        allocate(weights, kept, options.allocation, vgg="vgg" in spec.name)
