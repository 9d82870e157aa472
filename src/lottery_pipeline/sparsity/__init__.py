"""Sparsity: masks, exact selection, allocation, schedules. Higher score = keep; density, never sparsity."""

from lottery_pipeline.sparsity.allocation import (
    DensityError,
    allocate_erk,
    allocate_smart_ratio,
    allocate_uniform,
    kept_count,
)
from lottery_pipeline.sparsity.masks import (
    MaskError,
    Masks,
    Weights,
    apply_masks_,
    are_nested,
    check_masks,
    count_kept,
    count_prunable,
    density_of,
    full_masks,
)
from lottery_pipeline.sparsity.schedules import exponential_counts, ladder_counts, layer_counts, round_counts
from lottery_pipeline.sparsity.selection import Scores, SelectionError, keep_top_k
from lottery_pipeline.sparsity.shuffling import count_moved, shuffle_masks
from lottery_pipeline.sparsity.tables import dead_layers, density_table

__all__ = [
    "DensityError",
    "MaskError",
    "Masks",
    "Scores",
    "SelectionError",
    "Weights",
    "allocate_erk",
    "allocate_smart_ratio",
    "allocate_uniform",
    "apply_masks_",
    "are_nested",
    "check_masks",
    "count_kept",
    "count_moved",
    "count_prunable",
    "dead_layers",
    "density_of",
    "density_table",
    "exponential_counts",
    "full_masks",
    "keep_top_k",
    "kept_count",
    "ladder_counts",
    "layer_counts",
    "round_counts",
    "shuffle_masks",
]
