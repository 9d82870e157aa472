"""Masks of a SuperTicket: the weights with the highest scores of the whole network, exactly k of them."""

from collections.abc import Mapping

import torch
from torch import Tensor

from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.sparsity.masks import Masks
from lottery_pipeline.sparsity.selection import keep_top_k


def count_to_keep(prunable: int, sparsity: float) -> int:
    """Return k = D - round(sparsity D): whole numbers, so that no rounding error loses a weight.

    The authors' code takes floor((1 - (1 - p)) D) in floats, which for p = 0.1 and D = 1,000 masks 99.
    """
    return prunable - round(sparsity * prunable)


def prune_globally(
    scores: Mapping[str, Tensor], k: int, *, within: Masks | None = None, min_keep: int = 0
) -> Masks:
    """Keep the k highest scores of all layers together; ties go by index, so exactly k are kept.

    A layer with fewer than ``min_keep`` weights to choose from keeps all of them.

    Args:
        scores: by parameter name, higher = keep.
        k: number of weights to keep; if there are no more to choose from, all are kept.
        within: weights that may be kept; None for all.
        min_keep: the best of each layer are kept first, as far as k reaches.
    """
    allowed = within or {name: torch.ones_like(score, dtype=torch.bool) for name, score in scores.items()}
    available = {name: int(mask.count_nonzero()) for name, mask in allowed.items()}
    if k >= sum(available.values()):
        return {name: mask.clone() for name, mask in allowed.items()}
    least = {name: min(min_keep, count) for name, count in available.items()}
    if not sum(least.values()):
        return keep_top_k(scores, k, within=within)
    first = keep_top_k(scores, least, scope="layer", within=within)
    if sum(least.values()) >= k:
        return keep_top_k(scores, k, within=first)
    rest = {name: allowed[name] & ~mask for name, mask in first.items()}
    others = keep_top_k(scores, k - sum(least.values()), within=rest)
    return {name: mask | others[name] for name, mask in first.items()}


def draw_scores(weights: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Draw a score for each weight: the baseline of random masks."""
    generator = make_generator(seed, "scores")
    return {
        name: torch.rand(weight.shape, generator=generator).to(weight.device)
        for name, weight in weights.items()
    }
