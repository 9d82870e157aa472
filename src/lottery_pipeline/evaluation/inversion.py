"""Score inversion (specs/extraction.md 4.5): as many weights as before, but those of lowest score."""

import torch

from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.sparsity.masks import Masks, count_kept
from lottery_pipeline.sparsity.selection import Scores, keep_top_k
from lottery_pipeline.sparsity.shuffling import count_moved


def invert_masks(masks: Masks, scores: Scores, *, seed: int) -> Masks:
    """Keep the weights of lowest score: over all layers or inside each, as the masks were made.

    Args:
        masks: made from the scores; left as they are.
        scores: higher = keep; on the CPU.
        seed: of the order of equal scores. The lowest score, 0 or -inf, is often shared by many: taken by
            index, all weights would be of the first layers.

    Returns:
        Masks that keep as many weights, and the same ones only where half are kept or more, or scores are
        equal.
    """
    kept = count_kept(masks)
    flat = torch.cat([score.reshape(-1) for score in scores.values()])
    order = torch.randperm(len(flat), generator=make_generator(seed, "ties"))
    order = order[flat[order].argsort(stable=True)]  # lowest score first
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(flat), 0, -1)
    parts = ranks.split([score.numel() for score in scores.values()])
    inverted = {name: part.view(scores[name].shape) for name, part in zip(scores, parts, strict=True)}
    if count_moved(masks, keep_top_k(scores, kept)):
        counts = {name: int(mask.count_nonzero()) for name, mask in masks.items()}
        return keep_top_k(inverted, counts, scope="layer")
    return keep_top_k(inverted, kept)
