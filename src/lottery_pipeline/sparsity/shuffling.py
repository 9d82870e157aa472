"""Shuffled masks: the control that a method's masks must beat.

A shuffle that changes nothing would be a control that cannot fail, so every mask that can change does.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.sparsity.allocation import allocate_uniform
from lottery_pipeline.sparsity.masks import MaskError, Masks, check_masks, count_kept


def shuffle_masks(
    masks: Mapping[str, Tensor], *, seed: int, how: Literal["layer", "global", "even"] = "layer"
) -> Masks:
    """Move kept positions at random; the total stays the same.

    The new arrangement is drawn uniformly from all but the present one. The result is the same only if there
    is no other (``layer`` on a layer of density 0 or 1): report ``count_moved``.

    Args:
        masks: left unchanged.
        seed: of the arrangement.
        how: ``layer`` permutes inside each layer and keeps its count; ``global`` permutes over all layers;
            ``even`` gives every layer the same density (largest remainder), at random positions.

    Returns:
        New masks on the devices of the old.

    Raises:
        MaskError: ``how`` is none of these.
    """
    if how == "layer":
        return {
            name: _rearrange(mask, int(mask.count_nonzero()), make_generator(seed, "shuffle", name))
            for name, mask in masks.items()
        }
    generator = make_generator(seed, "shuffle", how)
    if how == "global":
        flat = torch.cat([mask.reshape(-1).cpu() for mask in masks.values()])
        fresh = _rearrange(flat, int(flat.count_nonzero()), generator)
        parts = fresh.split([mask.numel() for mask in masks.values()])
        return {
            name: part.reshape(mask.shape).to(mask.device, copy=True)
            for (name, mask), part in zip(masks.items(), parts, strict=True)
        }
    if how == "even":
        counts = allocate_uniform({name: mask.numel() for name, mask in masks.items()}, count_kept(masks))
        return {name: _rearrange(mask, counts[name], generator) for name, mask in masks.items()}
    raise MaskError(f"masks can be shuffled by 'layer', 'global' or 'even', got {how!r}")


def count_moved(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> int:
    """Return how many positions differ between two sets of masks."""
    check_masks(after, before)
    return sum(int((mask != after[name].to(mask.device)).count_nonzero()) for name, mask in before.items())


def _rearrange(mask: Tensor, kept: int, generator: torch.Generator) -> Tensor:
    """Return a mask of the same shape with ``kept`` random positions, unlike the old one if possible."""
    size = mask.numel()
    fresh = torch.zeros(size, dtype=torch.bool)
    before = mask.reshape(-1).cpu()
    while True:
        fresh[torch.randperm(size, generator=generator)[:kept]] = True
        # Each draw repeats the old arrangement with probability 1/2 at most, so the loop ends.
        if kept in (0, size) or not torch.equal(fresh, before):
            return fresh.reshape(mask.shape).to(mask.device)
        fresh.zero_()
