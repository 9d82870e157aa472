"""The Binary Concrete relaxation of a mask (Maddison et al. 2017; Louizos et al. 2018), as CTS uses it.

A weight is kept with a probability given by its logit; a gate in (0, 1) stands in for the coin toss, so that
gradients reach the logit.
"""

import math
from typing import Literal

import torch
from torch import Tensor

ConcreteForm = Literal["tlab", "standard"]
_LEAST_UNIFORM = 1e-10


def initial_logit(density: float) -> float:
    """Return ln(density / (1 - density)): all weights start with the keep probability ``density`` < 1."""
    return math.log(density) - math.log1p(-density)


def sample_noise(size: int, generator: torch.Generator) -> Tensor:
    """Draw logistic noise ln u - ln(1 - u), u ~ U(0, 1), float32 [size], on the device of the generator.

    Float32 in every precision: the clamp of u, 1e-10 as in the authors' code, would be 0 in 16 bits.
    """
    uniform = torch.rand(size, generator=generator, device=generator.device)
    # u is at most 1 - 2**-24, so it needs no clamp from above (1 - 1e-10 is 1 in float32).
    return uniform.clamp_(min=_LEAST_UNIFORM).logit_()


def relax(logits: Tensor, noise: Tensor, *, temperature: float, form: ConcreteForm) -> Tensor:
    """Return gates in (0, 1), one for each logit.

    Args:
        logits: alpha [D].
        noise: logistic noise [D].
        temperature: tau > 0; small ones give gates near 0 and 1.
        form: ``tlab``: sigmoid(alpha + noise / tau), the form of the authors' code: a gate is above 1/2
            with probability sigmoid(tau alpha). ``standard``: sigmoid((alpha + noise) / tau), the textbook's:
            above 1/2 with probability sigmoid(alpha).
    """
    if form == "tlab":
        return torch.sigmoid(logits + noise / temperature)
    return torch.sigmoid((logits + noise) / temperature)
