import math

import pytest
import torch

from lottery_pipeline.images.balls import project
from lottery_pipeline.robustness.threat import Threat, describe, is_within


def image(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(1, 1, 1, -1)


@pytest.mark.parametrize(
    ("threat", "name"),
    [
        (Threat("Linf", 8 / 255), "Linf eps 8/255"),
        (Threat("Linf", 0.25 / 255), "Linf eps 0.25/255"),
        (Threat("Linf", 0.031), "Linf eps 0.031"),
        (Threat("Linf", 0.0), "Linf eps 0"),
        (Threat("L2", 0.5), "L2 eps 0.5"),
    ],
)
def test_a_threat_has_a_short_name(threat, name):
    assert describe(threat) == name


@pytest.mark.parametrize("eps", [-0.1, math.nan, math.inf])
def test_an_eps_that_is_not_a_distance_is_refused(eps):
    with pytest.raises(ValueError, match="eps must be a number of at least 0"):
        Threat("L2", eps)


def test_eps_in_units_of_8_bits_is_refused_and_explained():
    with pytest.raises(ValueError, match=r"eps is 8, but pixels are in \[0, 1\]; did you mean 8/255\?"):
        Threat("Linf", 8)


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("eps", [0.0, 0.03, 0.7])
def test_what_is_projected_lies_within_the_threat_and_stays_there(norm, eps):
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(20, 3, 5, 5, generator=generator).round(decimals=1)  # some pixels are 0 or 1
    threat = Threat(norm, eps)

    found = project(clean + torch.randn(clean.shape, generator=generator), clean, threat.norm, threat.eps)

    assert is_within(found, clean, threat).all()
    assert torch.allclose(project(found, clean, threat.norm, threat.eps), found, atol=1e-6)


@pytest.mark.parametrize(
    ("adversarial", "within"),
    [
        (image(0.6, 1.0), True),
        (image(0.61, 1.0), False),  # out of the ball
        (image(0.5, 1.01), False),  # out of the box
        (image(0.5, math.nan), False),
    ],
)
def test_an_image_out_of_the_ball_or_the_box_or_broken_is_not_within(adversarial, within):
    assert is_within(adversarial, image(0.5, 1.0), Threat("Linf", 0.1)).tolist() == [within]
