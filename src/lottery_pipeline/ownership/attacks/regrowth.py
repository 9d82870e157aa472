"""The attack that moves the mask: weights are removed in one place and grown in another."""

from torch import nn

from lottery_pipeline.ownership.attacks.training import (
    check_share,
    count_epochs,
    fine_tune,
    measure_gradients,
    zero_pattern,
)
from lottery_pipeline.ownership.attacks.victim import Victim
from lottery_pipeline.sparsity.masks import Masks, apply_masks_
from lottery_pipeline.sparsity.selection import Scores, keep_top_k


def prune_and_regrow(
    victim: Victim,
    *,
    share: float,
    cycles: int = 1,
    learning_rate: float = 0.01,
    epoch_share: float = 0.1,
) -> nn.Module:
    """A10: swap small weights for pruned ones of large gradient, and train; every layer keeps its count.

    The move is RigL's (Evci et al., arXiv 1911.11134): in every layer the smallest weights go, and of those
    that were pruned before, those with the largest gradient of the loss come in, at 0. Training moves them.
    Deviation: a weight that has just gone may not come back in the same cycle, so the swap is complete.

    Args:
        victim: stays as it is.
        share: of the remaining weights of every layer that are swapped in each cycle; fewer where fewer are
            pruned.
        cycles: number of swaps, each followed by its part of the training, at least one epoch.
        learning_rate: constant.
        epoch_share: length of all training together, as a share of the original epochs.
    """
    check_share("share", share)
    model = victim.build()
    weights = victim.weights(model)
    masks = zero_pattern(weights)
    epochs = max(1, round(count_epochs(victim, epoch_share) / cycles))
    for cycle in range(cycles):
        masks = _swap(masks, measure_gradients(victim, model, "A10", "gradient", cycle), weights, share)
        apply_masks_(weights, masks)
        fine_tune(victim, model, f"A10/{cycle}", epochs=epochs, learning_rate=learning_rate, masks=masks)
    return model


def _swap(masks: Masks, gradients: Scores, weights: dict[str, nn.Parameter], share: float) -> Masks:
    """Return masks of the same count per layer, with a share of their places moved."""
    swapped = {}
    for name, mask in masks.items():
        left, pruned = int(mask.count_nonzero()), int((~mask).count_nonzero())
        moved = min(round(share * left), pruned)
        size = {name: weights[name].detach().abs()}
        [staying] = keep_top_k(size, {name: left - moved}, scope="layer", within={name: mask}).values()
        gradient = {name: gradients[name].abs()}
        [grown] = keep_top_k(gradient, {name: moved}, scope="layer", within={name: ~mask}).values()
        swapped[name] = staying | grown
    return swapped
