"""The threat: how far an adversarial image may lie from its clean one."""

import math
from dataclasses import dataclass

from torch import Tensor

from lottery_pipeline.images.balls import distance
from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.options.robustness import Norm

# Rounding of float32 pixels; in L2 that of all pixels of an image adds up.
_TOLERANCE: dict[Norm, float] = {"Linf": 1e-6, "L2": 1e-5}


@dataclass(frozen=True)
class Threat:
    """A ball around an image; the box [0, 1] of all images bounds it further.

    Attributes:
        norm: how distances are measured: the largest change of a value (Linf) or the Euclidean length (L2).
        eps: radius in units of pixels in [0, 1].
    """

    norm: Norm
    eps: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.eps) and self.eps >= 0):
            raise ValueError(f"eps must be a number of at least 0, got {self.eps!r}")
        if self.norm == "Linf" and self.eps > 1:
            eps = write_number(self.eps)
            raise ValueError(f"eps is {eps}, but pixels are in [0, 1]; did you mean {eps}/255?")


def describe(threat: Threat) -> str:
    """Return a short stable name such as ``Linf eps 8/255``, ``Linf eps 0.031`` or ``L2 eps 0.5``."""
    steps = threat.eps * 255
    if threat.norm == "Linf" and steps > 0 and abs(steps * 4 - round(steps * 4)) < 1e-6:
        return f"Linf eps {round(steps * 4) / 4:g}/255"
    return f"{threat.norm} eps {threat.eps:.6g}"


def is_within(adversarial: Tensor, images: Tensor, threat: Threat) -> Tensor:
    """Return for each image, bool ``[N]``, whether it lies in the ball and in the box; NaN does not."""
    near = distance(adversarial, images, threat.norm) <= threat.eps + _TOLERANCE[threat.norm]
    return near & ((adversarial >= 0) & (adversarial <= 1)).flatten(1).all(1)
