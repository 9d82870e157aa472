"""Which units go."""

import torch

from lottery_pipeline.methods.supertickets.importance import UnitPrice
from lottery_pipeline.methods.supertickets.shrinking import count_removed, dead_macs, fill_budget, find_living
from lottery_pipeline.models.supernet.units import UnitGroup
from lottery_pipeline.options import UnitSearchOptions


def unit(name: str, size: int) -> UnitGroup:
    return UnitGroup(name=name, block="block", kernel=3, size=size, gamma=name, axes={})


WEIGHTS = {"a": torch.tensor([0.0, 0.5, -0.5, 0.0])}
AVERAGE = {"a": torch.tensor([0.0, 0.0, -0.2, 0.3])}


def find(*, last: bool = False, **options) -> list[bool]:
    found = find_living([unit("a", 4)], WEIGHTS, AVERAGE, UnitSearchOptions(**options), last=last)
    return found["a"].tolist()


def test_a_unit_stays_if_it_is_alive_in_the_weights_or_in_their_average():
    assert find(keep_rule="or") == [False, True, True, True]


def test_the_average_alone_can_decide():
    assert find(keep_rule="ema") == [False, False, True, True]


def test_the_last_event_asks_the_average_alone():
    assert find(keep_rule="or", last=True) == [False, False, True, True]


def test_a_scale_at_the_threshold_is_dead():
    assert find(keep_rule="ema", gamma_threshold=0.3) == [False, False, False, False]


PRICES = {"a": UnitPrice(10.0), "b": UnitPrice(1.0)}
SCALES = {"a": torch.tensor([0.1, 0.9]), "b": torch.tensor([0.2, -0.05, 0.8])}


def fill(surplus: float) -> dict[str, list[bool]]:
    keep = fill_budget([unit("a", 2), unit("b", 3)], SCALES, PRICES, surplus)
    return {name: kept.tolist() for name, kept in keep.items()}


def test_a_budget_removes_the_least_important_units_until_it_is_met():
    assert fill(0) == {"a": [True, True], "b": [True, True, True]}
    assert fill(1) == {"a": [True, True], "b": [True, False, True]}
    assert fill(2) == {"a": [False, True], "b": [True, False, True]}
    assert fill(11.5) == {"a": [False, True], "b": [False, False, True]}


def test_tokens_take_their_square_with_them():
    keep = fill_budget([unit("a", 3)], {"a": torch.tensor([0.1, 0.2, 0.3])}, {"a": UnitPrice(0.0, 1.0)}, 8)
    assert keep["a"].tolist() == [False, False, True]  # 9 - 4 = 5 is not enough, 9 - 1 is


def test_what_goes_is_counted():
    keep = {"a": torch.tensor([True, False]), "b": torch.tensor([False, False, True])}
    assert count_removed(keep) == 3
    assert dead_macs(keep, PRICES) == 12.0
