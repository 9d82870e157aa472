"""Scores of residual blocks as on a blackboard: differences of gradients, networks really without a block."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]


def gradient(loss: Callable[[Weights], Tensor], weights: Weights) -> Weights:
    """Return dL / dtheta by name."""
    leaves = {name: weight.detach().clone().requires_grad_() for name, weight in weights.items()}
    return dict(zip(leaves, torch.autograd.grad(loss(leaves), list(leaves.values())), strict=True))


def hessian_product(
    loss: Callable[[Weights], Tensor], weights: Weights, vector: Weights, *, step: float = 1e-4
) -> Weights:
    """Return H v by central differences of gradients along v."""
    ends = [
        gradient(loss, {name: weight + sign * step * vector[name] for name, weight in weights.items()})
        for sign in (1, -1)
    ]
    return {name: (ends[0][name] - ends[1][name]) / (2 * step) for name in weights}


def block_score_naive(
    criterion: str, loss: Callable[[Weights], Tensor], weights: Weights, names: Iterable[str]
) -> float:
    """Return the sum over the named weights of |theta g|, theta g, or theta (H g)."""
    g = gradient(loss, weights)
    vector = hessian_product(loss, weights, g) if criterion == "grasp" else g
    total = 0.0
    for name in names:
        products = (weights[name] * vector[name]).flatten().tolist()
        total += sum(abs(product) for product in products) if criterion == "snip" else sum(products)
    return total


def logits_without_block(model: nn.Module, block: str, images: Tensor) -> Tensor:
    """Return the logits of a network of which a block is replaced by the identity; changes the network."""
    stage, _, child = block.rpartition(".")
    setattr(model.get_submodule(stage), child, nn.Identity())
    return model(images)
