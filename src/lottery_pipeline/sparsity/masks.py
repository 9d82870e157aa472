"""Masks: which weights are kept. A mask is a bool tensor beside the weight of the same name, True = kept."""

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor

Weights: TypeAlias = dict[str, Tensor]
Masks: TypeAlias = dict[str, Tensor]


class MaskError(ValueError):
    """Masks that do not belong to the weights they are used with."""


def full_masks(weights: Mapping[str, Tensor]) -> Masks:
    """Return masks that keep every weight, on the weights' devices."""
    return {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}


def check_masks(masks: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    """Check that masks fit the prunable weights: same names, same shapes, dtype bool.

    Raises:
        MaskError: they do not fit; the first difference is named.
    """
    if masks.keys() != weights.keys():
        missing = [name for name in weights if name not in masks]
        foreign = [name for name in masks if name not in weights]
        raise MaskError(
            f"masks and weights differ in their names: no mask for {missing[:3]}, no weight for {foreign[:3]}"
        )
    _check_shapes(masks, weights)


@torch.no_grad()
def apply_masks_(weights: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
    """Set pruned weights to +0.0, in place, whatever they were, NaN and infinities included.

    Args:
        weights: by name, at least every masked one; parameters without a mask are left alone.
        masks: on any device.

    Raises:
        MaskError: a mask without a weight, or of another shape or dtype.
    """
    foreign = [name for name in masks if name not in weights]
    if foreign:
        raise MaskError(f"no weight for the masks {foreign[:3]}")
    _check_shapes(masks, weights)
    for name, mask in masks.items():
        # A product would turn negative weights into -0.0 and leave NaN as NaN.
        weights[name].masked_fill_(~mask.to(weights[name].device), 0.0)


def take_kept(weight: Tensor, mask: Tensor) -> Tensor:
    """Return the kept weights in C order, [kept]."""
    # Flat, because torch notes 8 bytes for each kept weight and dimension.
    return weight.reshape(-1)[mask.reshape(-1)]


def count_kept(masks: Mapping[str, Tensor]) -> int:
    """Return k, the number of kept weights."""
    return sum(int(mask.count_nonzero()) for mask in masks.values())


def count_prunable(masks: Mapping[str, Tensor]) -> int:
    """Return D, the number of prunable weights."""
    return sum(mask.numel() for mask in masks.values())


def density_of(masks: Mapping[str, Tensor]) -> float:
    """Return kept / prunable.

    Raises:
        MaskError: there are no masks.
    """
    if not masks:
        raise MaskError("there are no masks, so there is no density")
    return count_kept(masks) / count_prunable(masks)


def are_nested(inner: Mapping[str, Tensor], outer: Mapping[str, Tensor]) -> bool:
    """Whether every weight that ``inner`` keeps is kept by ``outer`` too.

    Raises:
        MaskError: the two belong to different weights.
    """
    check_masks(inner, outer)
    return all(bool((mask <= outer[name].to(mask.device)).all()) for name, mask in inner.items())


def _check_shapes(masks: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    for name, mask in masks.items():
        if mask.dtype != torch.bool:
            raise MaskError(f"the mask of {name} has dtype {mask.dtype}, but must be torch.bool")
        if mask.shape != weights[name].shape:
            raise MaskError(
                f"the mask of {name} has shape {tuple(mask.shape)}, its weight {tuple(weights[name].shape)}"
            )
