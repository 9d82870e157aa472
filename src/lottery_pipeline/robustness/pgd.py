"""PGD: steps up the loss, projected back into the ball (Madry et al., arXiv 1706.06083)."""

import torch
from torch import Tensor, nn

from lottery_pipeline.images.balls import project, steepest
from lottery_pipeline.robustness.gradients import cross_entropy, differentiate
from lottery_pipeline.robustness.noise import draw_noise
from lottery_pipeline.robustness.threat import Threat


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat: Threat,
    *,
    steps: int,
    seed: int,
    indices: Tensor,
    step_size: float | None = None,
    restarts: int = 1,
) -> Tensor:
    """Attack images by projected gradient ascent on the cross-entropy, from random points of the ball.

    The paper's attack returns its last point; this one returns the best it has seen: the first point that is
    misclassified, else the one of highest loss. So more steps of the same size, or more restarts, never do
    worse. A fooled image is not attacked again: once half of the images of a batch are fooled, the others are
    packed into a smaller batch. Packing them after every step would cost more than it saves.

    Args:
        model: pixels in [0, 1] -> logits, in evaluation mode.
        images: float32 ``[N, C, H, W]`` in [0, 1].
        labels: int64 ``[N]``.
        threat: how far an image may move.
        steps: gradients per image and restart.
        seed: of the start points.
        indices: int64 ``[N]``, the images' places in their set, on which their start points depend.
        step_size: in units of pixels; None is 2.5 eps / steps.
        restarts: each from other points.

    Returns:
        Adversarial images, within the threat.
    """
    step_size = 2.5 * threat.eps / steps if step_size is None else step_size
    best = images.clone()
    highest = torch.full(labels.shape, -torch.inf, device=images.device)
    fooled = torch.zeros_like(labels, dtype=torch.bool)
    for restart in range(restarts):
        left = (~fooled).nonzero().squeeze(1)
        if not len(left):
            break
        noise = draw_noise(
            indices[left.to(indices.device)], images.shape[1:], threat.norm, seed=seed, restart=restart
        )
        centres, targets = images[left], labels[left]
        current = project(centres + threat.eps * noise.to(images), centres, threat.norm, threat.eps)
        for step in range(steps + 1):
            if step < steps:
                logits, losses, gradient = differentiate(model, current, targets, cross_entropy)
            else:
                logits = _forward(model, current)
                losses = cross_entropy(logits, targets)
            wrong = logits.argmax(1) != targets
            better = ~fooled[left] & (wrong | (losses > highest[left]))
            best[left[better]], highest[left[better]] = current[better], losses[better]
            fooled[left] |= wrong
            standing = ~fooled[left]
            count = int(standing.sum())
            if step == steps or not count:
                break
            current = project(
                current + step_size * steepest(gradient, threat.norm), centres, threat.norm, threat.eps
            )
            if 2 * count <= len(left):
                left, centres, targets = left[standing], centres[standing], targets[standing]
                current = current[standing]
    return best


@torch.no_grad()
def _forward(model: nn.Module, images: Tensor) -> Tensor:
    logits: Tensor = model(images)
    return logits
