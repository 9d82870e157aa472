import math

import pytest
import torch
from scipy.optimize import minimize_scalar

from lottery_pipeline.robustness.temperature import fit_temperature


def draw(temperature: float, *, n: int = 20_000, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels drawn from softmax(z), and logits that are T times too large."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, 5, generator=generator)
    return temperature * logits, torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]


@pytest.mark.parametrize("temperature", [0.2, 1.0, 3.0, 1e4])
def test_the_temperature_that_the_logits_were_multiplied_by_is_found(temperature):
    assert fit_temperature(*draw(temperature)) == pytest.approx(temperature, rel=0.03)


def test_a_case_by_hand():
    # Right 3 times of 4 with a margin of 4: the best confidence is 3/4, so 4 / T = ln 3.
    logits = torch.tensor([[4.0, 0.0]] * 4)
    assert fit_temperature(logits, torch.tensor([0, 0, 0, 1])) == pytest.approx(4 / math.log(3))


def test_a_plain_search_finds_the_same_minimum():
    logits, labels = draw(2.0, n=100)

    def loss(log_temperature: float) -> float:
        scaled = logits.double() / math.exp(log_temperature)
        return float(torch.nn.functional.cross_entropy(scaled, labels))

    found = minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-9})
    assert fit_temperature(logits, labels) == pytest.approx(math.exp(found.x), rel=1e-5)


def test_scaling_the_logits_scales_the_temperature():
    logits, labels = draw(1.0, n=200)
    base = fit_temperature(logits, labels)
    for factor in (1e-4, 1e4):
        assert fit_temperature(factor * logits, labels) == pytest.approx(factor * base, rel=1e-4)


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        ([[3.0, 0.0], [0.0, 1.0]], [0, 1]),  # all right
        ([[2.0, 2.0], [0.0, 1.0]], [0, 1]),  # a tie is not wrong
        ([[3.0, 0.0], [0.0, 1.0]], [1, 0]),  # all wrong
        ([[3.0, 0.0], [3.0, 0.0]], [0, 1]),  # no better than chance
        ([[1.0, 1.0], [2.0, 2.0]], [0, 1]),  # the same for all classes
    ],
)
def test_no_temperature_is_best(logits, labels):
    assert fit_temperature(torch.tensor(logits), torch.tensor(labels)) is None


def test_one_wrong_image_among_many_is_enough():
    logits = torch.tensor([[1e4, 0.0]] * 10_000 + [[1e-3, 0.0]])
    labels = torch.tensor([0] * 10_000 + [1])
    temperature = fit_temperature(logits, labels)
    assert temperature is not None
    assert math.isfinite(temperature)
