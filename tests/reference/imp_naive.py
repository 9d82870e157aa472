"""Iterative magnitude pruning as on a blackboard: masks in the forward pass, plain sorting."""

from collections.abc import Callable

import torch
from torch import Tensor

Weights = dict[str, Tensor]


def imp_naive(
    forward: Callable[[Weights, Tensor], Tensor],
    start: Weights,
    prunable: list[str],
    images: Tensor,
    labels: Tensor,
    *,
    counts: list[int],
    steps: int,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
) -> list[dict[str, Tensor]]:
    """Find the masks of every rung, training on all images at once with SGD.

    Args:
        forward: (weights, images) -> logits.
        start: all trainable weights at the start point.
        prunable: names of those that are pruned, in order.
        images: as ``forward`` wants them.
        labels: int64 [N].
        counts: kept weights of rungs 1, 2, ...
        steps: of each training.
        learning_rate: constant.
        momentum: of SGD.
        weight_decay: on every weight.

    Returns:
        Masks of rungs 0, 1, 2, ...
    """
    rungs = [{name: torch.ones_like(start[name]) for name in prunable}]
    for count in counts:
        masks = rungs[-1]
        weights = {name: weight.clone().requires_grad_() for name, weight in start.items()}
        velocity = {name: torch.zeros_like(weight) for name, weight in start.items()}
        for _ in range(steps):
            masked = {name: weight * masks.get(name, 1.0) for name, weight in weights.items()}
            logits = forward(masked, images)
            loss = -torch.log_softmax(logits, 1)[torch.arange(len(labels)), labels].mean()
            gradients = torch.autograd.grad(loss, list(weights.values()))
            with torch.no_grad():
                for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
                    velocity[name] = momentum * velocity[name] + gradient + weight_decay * weight
                    weight -= learning_rate * velocity[name]
        ranked = [
            (-abs(float(value)), layer, index)
            for layer, name in enumerate(prunable)
            for index, (value, alive) in enumerate(
                zip(weights[name].flatten().tolist(), masks[name].flatten().tolist(), strict=True)
            )
            if alive
        ]
        survivors = sorted(ranked)[:count]
        next_masks = {name: torch.zeros_like(start[name]) for name in prunable}
        for _, layer, index in survivors:
            next_masks[prunable[layer]].view(-1)[index] = 1
        rungs.append(next_masks)
    return rungs
