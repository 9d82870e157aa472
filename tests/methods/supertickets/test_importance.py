"""Prices of units and the pull on their scales, worked out by hand."""

import pytest
import torch
from torch import nn

from lottery_pipeline.methods.supertickets.importance import (
    MovingAverage,
    Pull,
    UnitPrice,
    mean_price,
    price_units,
)
from lottery_pipeline.models.supernet.units import UnitGroup


class Scales(nn.Module):
    def __init__(self, **gammas):
        super().__init__()
        for name, values in gammas.items():
            self.register_parameter(name, nn.Parameter(torch.tensor(values)))
            getattr(self, name).grad = torch.zeros(len(values))


def unit(name: str, size: int, kernel: int = 3) -> UnitGroup:
    return UnitGroup(name=name, block="block", kernel=kernel, size=size, gamma=name, axes={})


def test_lambda_is_the_price_of_a_unit_over_the_mean_price():
    units = [unit("cheap", 4), unit("dear", 4)]
    prices = price_units(units, {"cheap": 100, "dear": 300}, {})
    model = Scales(cheap=[1.0] * 4, dear=[1.0] * 4)
    factors = Pull(model, units, prices, mean_price(units, prices), 1e-3).factors()
    assert [float(factor) for factor in factors] == [0.5, 1.5]
    assert sum(group.size * float(factor) for group, factor in zip(units, factors, strict=True)) == 8


def test_the_gradient_of_the_pull_is_rho_lambda_sign():
    units = [unit("two", 2), unit("one", 1)]
    prices = price_units(units, {"two": 100, "one": 150}, {})
    model = Scales(two=[1.0, -2.0], one=[0.5])
    mean = mean_price(units, prices)  # 250 / 3
    Pull(model, units, prices, mean, 1e-3).add_gradients_(0.1)
    assert model.two.grad.tolist() == pytest.approx([0.06, -0.06])
    assert model.one.grad.tolist() == pytest.approx([0.18])


def test_the_pull_is_the_derivative_of_its_term():
    units = [unit("two", 2), unit("one", 1)]
    prices = price_units(units, {"two": 100, "one": 150}, {})
    model = Scales(two=[1.0, -2.0], one=[0.5])
    pull = Pull(model, units, prices, mean_price(units, prices), 1e-3)
    term = 0.1 * (0.6 * model.two.abs().sum() + 1.8 * model.one.abs().sum())
    wanted = torch.autograd.grad(term, [model.two, model.one])
    pull.add_gradients_(0.1)
    for parameter, gradient in zip([model.two, model.one], wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_a_scale_of_0_is_not_pulled():
    model = Scales(a=[0.0, 1.0])
    Pull(model, [unit("a", 2)], {"a": UnitPrice(1.0)}, 1.0, 1e-3).add_gradients_(0.5)
    assert model.a.grad.tolist() == [0.0, 0.5]


def test_without_weights_all_units_are_pulled_alike():
    units = [unit("cheap", 1), unit("dear", 1)]
    model = Scales(cheap=[1.0], dear=[1.0])
    Pull(model, units, price_units(units, {"cheap": 1, "dear": 9}, {}), None, 1e-3).add_gradients_(0.5)
    assert (float(model.cheap.grad), float(model.dear.grad)) == (0.5, 0.5)


@pytest.mark.parametrize(("alive", "macs"), [(4, 2 * (16 - 9) * 64), (1, 128), (0, 0)])
def test_a_token_costs_what_the_last_living_one_adds(alive, macs):
    assert float(UnitPrice(0.0, 2 * 64).marginal(torch.tensor(alive))) == macs


def test_the_pull_on_tokens_falls_as_tokens_die():
    units = [unit("tokens", 4, kernel=0)]
    prices = price_units(units, {"tokens": 40}, {"tokens": 160})  # 10 n + 10 n^2
    model = Scales(tokens=[1.0, 1.0, 1.0, 1e-4])
    pull = Pull(model, units, prices, 10.0, 1e-3)
    assert float(pull.factors()[0]) == 1 + (9 - 4)
    with torch.no_grad():
        model.tokens[:2] = 0
    assert float(pull.factors()[0]) == 1 + 1


def test_the_average_moves_towards_the_weights():
    average = MovingAverage({"a": torch.tensor([0.0])}, decay=0.75)
    average.update({"a": torch.tensor([4.0])})
    average.update({"a": torch.tensor([4.0])})
    assert average.values["a"].tolist() == [1.75]
