"""Tables of masks: density per layer, and layers that died."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def density_table(masks: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    """Return one row per layer: ``layer`` (its weight's name), shape, prunable, kept and density."""
    rows = []
    for name, mask in masks.items():
        kept = int(mask.count_nonzero())
        density = kept / mask.numel()
        row = {"layer": name, "shape": list(mask.shape), "prunable": mask.numel(), "kept": kept}
        rows.append({**row, "density": density})
    return rows


def dead_layers(masks: Mapping[str, Tensor]) -> list[str]:
    """Return the layers that keep no weight: without a shortcut around them the output is constant."""
    return [name for name, mask in masks.items() if not bool(mask.any())]
