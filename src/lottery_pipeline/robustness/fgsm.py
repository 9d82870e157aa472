"""FGSM: one step along the sign of the gradient (Goodfellow et al., arXiv 1412.6572)."""

from torch import Tensor, nn

from lottery_pipeline.images.balls import project, steepest
from lottery_pipeline.robustness.gradients import cross_entropy, differentiate
from lottery_pipeline.robustness.threat import Threat


def fgsm(model: nn.Module, images: Tensor, labels: Tensor, threat: Threat) -> Tensor:
    """Move each image to the edge of the ball, where its linearised loss is highest.

    In L2 the step follows the gradient itself. The attack is weak and serves as a check of the others.

    Args:
        model: pixels in [0, 1] -> logits, in evaluation mode.
        images: float32 ``[N, C, H, W]`` in [0, 1].
        labels: int64 ``[N]``.
        threat: how far an image may move.

    Returns:
        Adversarial images, within the threat.
    """
    _, _, gradient = differentiate(model, images, labels, cross_entropy)
    return project(images + threat.eps * steepest(gradient, threat.norm), images, threat.norm, threat.eps)
