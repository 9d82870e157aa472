"""Attacks that fill pruned places with small weights, so that the zeros no longer show the mask."""

import torch
from torch import Tensor, nn

from lottery_pipeline.ownership.attacks.training import (
    check_share,
    count_epochs,
    fine_tune,
    restore_statistics,
    zero_pattern,
)
from lottery_pipeline.ownership.attacks.victim import Victim
from lottery_pipeline.reproducibility.seeds import make_generator


def add_weights(victim: Victim, *, probability: float, std: float, fine_tuned: bool = False) -> nn.Module:
    """A11: switch pruned weights on at random, with values from N(0, std^2) (arXiv 2111.00162, Table 8).

    Batch norm is re-estimated if there is no training.

    Args:
        victim: stays as it is.
        probability: of every pruned weight, on its own.
        std: of the new weights.
        fine_tuned: train the result for a tenth of the original epochs at rate 0.01, its zeros kept.
    """
    check_share("probability", probability)
    model = victim.build()
    weights = victim.weights(model)
    generator = make_generator(victim.seed, "A11")
    with torch.no_grad():
        for weight in weights.values():
            chosen = (torch.rand(weight.shape, generator=generator) < probability) & (weight == 0)
            weight[chosen] = std * torch.randn(weight.shape, generator=generator)[chosen]
    if not fine_tuned:
        return restore_statistics(victim, model)
    masks = zero_pattern(weights)
    return fine_tune(victim, model, "A11", epochs=count_epochs(victim, 0.1), masks=masks)


def fill_zeros(victim: Victim, *, epsilon: float) -> nn.Module:
    """A12: give every pruned weight a tiny random value, and re-estimate batch norm.

    The values are N(0, (epsilon s)^2). s is the root of the mean square of the layer's other weights, or of
    all other weights of the network if the layer has none. Dead channels have a running variance near 0,
    which would blow the dust up: hence the new estimate.

    Args:
        victim: stays as it is.
        epsilon: size of the new weights, relative to the layer's.
    """
    model = victim.build()
    weights = victim.weights(model)
    generator = make_generator(victim.seed, "A12")
    everywhere = _root_mean_square(torch.cat([weight.detach().flatten() for weight in weights.values()]))
    with torch.no_grad():
        for weight in weights.values():
            pruned = weight == 0
            scale = everywhere if pruned.all() else _root_mean_square(weight)
            weight[pruned] = epsilon * scale * torch.randn(weight.shape, generator=generator)[pruned]
    return restore_statistics(victim, model)


def _root_mean_square(weight: Tensor) -> float:
    """Return the root mean square of the entries that are not 0."""
    return float(weight.detach()[weight != 0].double().square().mean().sqrt())
