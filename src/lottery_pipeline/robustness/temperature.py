"""Temperature scaling: one number that makes a network's confidence fit its accuracy on held-out images."""

import math

import torch
from torch import Tensor

# Where the temperature is looked for, in units of the largest distance between two logits of an image. At
# these ends the softmax is flat or one-hot in float64, whatever float32 logits there are.
_FLAT, _ONE_HOT = 1e9, 1e-12


def fit_temperature(logits: Tensor, labels: Tensor) -> float | None:
    """Find the temperature T at which softmax(logits / T) has the least cross-entropy (arXiv 1706.04599).

    The loss is convex in 1 / T, so there is at most one such T: the zero of its slope. (The paper minimises
    by L-BFGS, which stops somewhere even where there is no minimum.)

    Args:
        logits: finite ``[N, K]``, of images that were neither trained nor tested on; at least one.
        labels: int64 ``[N]``.

    Returns:
        None if there is no best temperature: every image is right, so that T would shrink for ever; or the
        labels' logits are on average no higher than the others, so that T would grow for ever.
    """
    from scipy.optimize import brentq

    logits = logits.double()
    logits = logits - logits.amax(dim=1, keepdim=True)
    of_labels = logits.gather(1, labels[:, None]).mean()
    if of_labels == 0:
        return None

    def slope(log_temperature: float) -> float:
        """Return the derivative of the loss by 1 / T; it falls with T."""
        shares = torch.softmax(logits / math.exp(log_temperature), dim=1)
        return float((shares * logits).sum(dim=1).mean() - of_labels)

    spread = math.log(float(-logits.amin()))
    coldest, warmest = spread + math.log(_ONE_HOT), spread + math.log(_FLAT)
    if slope(coldest) <= 0 or slope(warmest) >= 0:
        return None
    return math.exp(brentq(slope, coldest, warmest, xtol=1e-10))
