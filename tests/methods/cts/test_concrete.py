import math

import pytest
import torch

from lottery_pipeline.methods.cts.concrete import initial_logit, relax, sample_noise

ALPHA = initial_logit(0.01)


def test_the_first_logit_is_that_of_the_density():
    assert initial_logit(0.25) == pytest.approx(-math.log(3))
    assert 1 / (1 + math.exp(-initial_logit(0.0074))) == pytest.approx(0.0074)


# T11 --------------------------------------------------------------------------------------------------------


def test_without_noise_a_gate_is_the_sigmoid_of_its_logit():
    logits = torch.tensor([-2.0, 0.0, 3.0])
    none = torch.zeros(3)
    assert torch.equal(relax(logits, none, temperature=2 / 3, form="tlab"), torch.sigmoid(logits))
    standard = relax(logits, none, temperature=2 / 3, form="standard")
    torch.testing.assert_close(standard, torch.sigmoid(1.5 * logits))


@pytest.mark.parametrize(("form", "above", "mean"), [("tlab", 0.0446, 0.075), ("standard", 0.0100, 0.020)])
def test_a_gate_is_above_one_half_as_often_as_its_form_says(form, above, mean):
    noise = sample_noise(200_000, torch.Generator().manual_seed(0))
    gates = relax(torch.full((200_000,), ALPHA), noise, temperature=2 / 3, form=form)
    expected = torch.sigmoid(torch.tensor(ALPHA * (2 / 3 if form == "tlab" else 1))).item()
    assert expected == pytest.approx(above, abs=5e-5)
    spread = math.sqrt(expected * (1 - expected) / 200_000)
    assert (gates > 0.5).double().mean().item() == pytest.approx(expected, abs=4 * spread)
    assert gates.mean().item() == pytest.approx(mean, abs=0.002)


@pytest.mark.parametrize(("form", "factor"), [("tlab", 1.0), ("standard", 1.5)])
def test_the_slope_of_a_gate_is_that_of_the_formula(form, factor):
    logits = torch.tensor([-4.0, -1.0, 0.5], dtype=torch.float64, requires_grad=True)
    noise = sample_noise(3, torch.Generator().manual_seed(1)).double()
    gates = relax(logits, noise, temperature=2 / 3, form=form)
    (slopes,) = torch.autograd.grad(gates.sum(), logits)
    torch.testing.assert_close(slopes, factor * (gates * (1 - gates)).detach())


def test_noise_is_logistic_finite_and_its_seeds_own():
    noise = sample_noise(200_000, torch.Generator().manual_seed(7))
    assert noise.dtype == torch.float32
    assert bool(noise.isfinite().all())
    assert noise.mean().item() == pytest.approx(0, abs=4 * math.pi / math.sqrt(3 * 200_000))
    assert noise.std().item() == pytest.approx(math.pi / math.sqrt(3), rel=0.01)
    assert torch.equal(noise, sample_noise(200_000, torch.Generator().manual_seed(7)))
    assert not torch.equal(noise, sample_noise(200_000, torch.Generator().manual_seed(8)))


def test_noise_leaves_the_default_generator_alone():
    before = torch.get_rng_state()
    sample_noise(10, torch.Generator().manual_seed(0))
    assert torch.equal(before, torch.get_rng_state())
