"""GraSP as on a blackboard: the whole Hessian, then theta (H g)."""

from collections.abc import Callable

import torch
from torch import Tensor

Weights = dict[str, Tensor]


def grasp_naive(loss: Callable[[Weights], Tensor], weights: Weights) -> Weights:
    """Return theta (H g) by name, the loss being that of the whole data set with its logits divided."""

    def flat_loss(theta: Tensor) -> Tensor:
        parts = theta.split([weight.numel() for weight in weights.values()])
        return loss({name: part.view(weights[name].shape) for name, part in zip(weights, parts, strict=True)})

    theta = torch.cat([weight.flatten() for weight in weights.values()]).requires_grad_()
    (gradient,) = torch.autograd.grad(flat_loss(theta), theta)
    hessian = torch.autograd.functional.hessian(flat_loss, theta.detach())
    scores = (theta * (hessian @ gradient)).detach().split([weight.numel() for weight in weights.values()])
    return {name: part.view(weights[name].shape) for name, part in zip(weights, scores, strict=True)}
