"""Random masks with chosen layer densities (Su et al., NeurIPS 2020; Evci et al., ICML 2020 for ERK)."""

# ruff: noqa: ARG001 (every method is called alike)

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.options import RandomOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.search.extraction import Extraction
from lottery_pipeline.search.saliency import extract_by_scores
from lottery_pipeline.sparsity.allocation import (
    allocate_erk,
    allocate_smart_ratio,
    allocate_uniform,
    kept_count,
)
from lottery_pipeline.sparsity.masks import Masks
from lottery_pipeline.sparsity.selection import Scores, keep_top_k
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import OnLabelledRecord


def random_scores(
    weights: Mapping[str, Tensor],
    k: int,
    *,
    seed: int,
    allocation: Literal["global", "uniform", "erk", "smart_ratio"] = "erk",
    vgg: bool = False,
) -> Scores:
    """Draw scores of which the k highest are a random mask with the layer densities of an allocation.

    Args:
        weights: only their shapes count, in forward order.
        k: number of weights to keep in all.
        seed: of the draw.
        allocation: as of ``RandomOptions``.
        vgg: smart ratios are those for VGG.

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
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    if allocation == "uniform":
        counts = allocate_uniform({name: math.prod(shape) for name, shape in shapes.items()}, k)
    elif allocation == "erk":
        counts = allocate_erk(shapes, k)
    else:
        counts = allocate_smart_ratio(shapes, k, vgg=vgg)
    masks = keep_top_k(draws, counts, scope="layer")
    return {name: draw + masks[name] for name, draw in draws.items()}


def extract_random(
    images: ImageSplits,
    dense: DenseRun,
    recipe: Recipe,
    *,
    seed: int,
    options: RandomOptions,
    device: str = "auto",
    checkpoints: Checkpoints | None = None,
    on_record: OnLabelledRecord | None = None,
    allow_factory: str | None = None,
) -> Extraction:
    """Draw a random ticket; arguments and errors as of ``extract_snip``, the device does not matter."""

    def draw(model: nn.Module, masks: Masks) -> Scores:
        weights = prunable_parameters(model, dense.spec.ignore_layers)
        k = kept_count(options.density, sum(weight.numel() for weight in weights.values()))
        return random_scores(
            weights, k, seed=seed, allocation=options.allocation, vgg="vgg" in dense.spec.name
        )

    return extract_by_scores(
        "random",
        draw,
        images,
        dense,
        options,
        images_per_round=0,
        seed=seed,
        device="cpu",
        checkpoints=checkpoints,
        allow_factory=allow_factory,
    )
