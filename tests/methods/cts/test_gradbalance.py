import math

import pytest
import torch

from lottery_pipeline.methods.cts.gradbalance import ascend_multiplier, balance_gradients, measure_density
from tests.reference.cts_naive import gradbalance

AT_DENSITY = torch.full((4,), -math.log(3), dtype=torch.float64)  # sigmoid = 1/4
AT_HALF = torch.zeros(4, dtype=torch.float64)
GRADIENT = torch.tensor([3.0, 0.0, 4.0, 0.0], dtype=torch.float64)


def balance(logits, gradient, multiplier=None):
    return balance_gradients(logits, gradient, multiplier, density=0.25, rate=0.1)


# T12 --------------------------------------------------------------------------------------------------------


def test_at_the_start_there_is_no_pressure():
    found = balance(AT_DENSITY, GRADIENT)
    assert found.error.item() == pytest.approx(-9.0909, abs=1e-4)
    assert found.multiplier.item() == 0
    assert torch.equal(found.gradient, GRADIENT)
    assert found.expected_density.item() == pytest.approx(0.25)


def test_above_the_slack_pressure_is_as_strong_as_the_objective():
    found = balance(AT_HALF, GRADIENT)
    assert found.error.item() == pytest.approx(81.8182, abs=1e-4)
    _, pressure, _ = measure_density(AT_HALF, 1.1)
    assert pressure.tolist() == pytest.approx([22.7273] * 4, abs=1e-4)
    assert pressure.norm().item() == pytest.approx(45.4545, abs=1e-4)
    assert found.multiplier.item() == pytest.approx(0.11, abs=1e-6)
    assert (found.multiplier * pressure).norm().item() == pytest.approx(GRADIENT.norm().item())


def test_the_multiplier_is_a_moving_average_that_begins_with_its_first_value():
    first = balance(AT_DENSITY, GRADIENT)
    second = balance(AT_HALF, GRADIENT, first.multiplier)
    assert second.multiplier.item() == pytest.approx(0.0011, abs=1e-6)
    assert second.gradient.tolist() == pytest.approx([3.025, 0.025, 4.025, 0.025], abs=1e-4)


def test_below_the_slack_the_multiplier_fades():
    found = balance(AT_DENSITY, GRADIENT, torch.tensor(2.0, dtype=torch.float64))
    assert found.multiplier.item() == pytest.approx(0.99 * 2)


# T13, T14 ---------------------------------------------------------------------------------------------------


def test_a_scaled_objective_gives_a_scaled_multiplier():
    one, thousand = balance(AT_HALF, GRADIENT), balance(AT_HALF, 1000 * GRADIENT)
    assert thousand.multiplier.item() == pytest.approx(1000 * one.multiplier.item())
    torch.testing.assert_close(thousand.gradient, 1000 * one.gradient)


def test_the_pressure_is_the_gradient_of_the_sparsity_error():
    logits = torch.tensor([-3.0, 0.2, 1.5, -0.1], dtype=torch.float64, requires_grad=True)
    error, pressure, _ = measure_density(logits, 1.7)
    (slope,) = torch.autograd.grad(error, logits)
    torch.testing.assert_close(pressure.detach(), slope, rtol=0, atol=1e-6)


def test_it_equals_the_naive_twin_over_many_steps():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, generator=generator, dtype=torch.float64)
    multiplier, theirs = None, None
    for _ in range(5):
        slopes = torch.randn(6, generator=generator, dtype=torch.float64)
        found = balance(logits, slopes, multiplier)
        expected, theirs, error = gradbalance(logits.tolist(), slopes.tolist(), theirs, 0.25)
        assert found.gradient.tolist() == pytest.approx(expected)
        assert found.error.item() == pytest.approx(error)
        multiplier = found.multiplier
        logits = logits - 0.3 * found.gradient.sign()


def test_gradients_too_small_to_square_still_balance():
    found = balance(AT_HALF.float(), GRADIENT.float() * 1e-30)
    assert found.multiplier.item() == pytest.approx(0.11e-30, rel=1e-5)


def test_no_gradient_means_no_pressure():
    found = balance(AT_HALF, 0 * GRADIENT)
    assert found.multiplier.item() == 0
    assert torch.equal(found.gradient, torch.zeros(4, dtype=torch.float64))


def test_the_lagrange_multiplier_climbs_with_the_error_and_falls_below_0():
    found = ascend_multiplier(AT_HALF, GRADIENT, None, density=0.25, rate=0.1)
    assert found.error.item() == pytest.approx(100)  # no slack
    assert found.multiplier.item() == pytest.approx(0.001 * 100)
    assert found.gradient.tolist() == pytest.approx([3 + 0.1 * 25, 2.5, 4 + 2.5, 2.5])
    sparse = torch.full((4,), -9.0, dtype=torch.float64)
    later = ascend_multiplier(sparse, GRADIENT, torch.tensor(0.05), density=0.25, rate=0.1)
    assert later.multiplier.item() == pytest.approx(0.05 + 0.001 * later.error.item())
    assert later.multiplier.item() < 0
