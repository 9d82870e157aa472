from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lottery_pipeline.sparsity import (
    DensityError,
    exponential_counts,
    ladder_counts,
    layer_counts,
    round_counts,
)

RESNET20 = 270_896
LENET = {"fc1": 235_200, "fc2": 30_000, "fc": 1_000}
LENET_RATES = {"fc1": 0.2, "fc2": 0.2, "fc": 0.1}
# Frankle & Carbin 2019: densities, in percent, of 15 rounds on LeNet-300-100. Round 12 keeps 18,505 weights,
# 6.951 %: 7.0 to the nearest tenth (6.9 is what 0.8**12 alone would give).
LENET_DENSITIES = [80.0, 64.1, 51.3, 41.1, 32.9, 26.3, 21.1, 16.9, 13.5, 10.8, 8.7, 7.0, 5.6, 4.5, 3.6]


def test_lenet_rounds_keep_the_published_densities():
    rounds = layer_counts(LENET, rates=LENET_RATES, rounds=15)
    assert rounds[0] == {"fc1": 188_160, "fc2": 24_000, "fc": 900}
    assert sum(rounds[0].values()) == 213_060
    assert sum(rounds[11].values()) == 18_505
    assert [round(100 * sum(kept.values()) / 266_200, 1) for kept in rounds] == LENET_DENSITIES


def test_resnet20_keeps_1998_weights_after_22_rounds():
    counts = round_counts(RESNET20, rate=0.2, rounds=22)
    assert counts[-1] == 1_998
    assert counts[0] == 216_716
    assert round(100 * counts[-1] / RESNET20, 4) == 0.7376


def test_rounds_are_recomputed_from_the_whole_and_do_not_drift():
    # Rounding each round's remainder instead would give 7, 5, 4, 3.
    assert round_counts(10, rate=0.2, rounds=5) == [8, 6, 5, 4, 3]
    assert round_counts(10, rate=0.0, rounds=2) == [10, 10]
    assert round_counts(10, rate=0.2, rounds=0) == []


def test_a_ladder_ends_exactly_at_its_density():
    counts = ladder_counts(RESNET20, density=0.1, rate=0.2)
    assert len(counts) == 10
    assert counts[:2] == [216_716, 173_373]
    assert counts[-1] == 27_089


@pytest.mark.parametrize(
    ("density", "rungs"), [(1.0, 0), (0.99, 1), (0.8, 1), (0.75, 1), (0.7, 2), (0.64, 2), (0.0074, 22)]
)
def test_the_number_of_rungs_is_the_nearest_to_the_rate(density, rungs):
    assert len(ladder_counts(RESNET20, density=density, rate=0.2)) == rungs


@given(st.integers(1, 10**6), st.integers(1, 10**4), st.integers(1, 99))
def test_a_ladder_never_goes_up(prunable, density, rate):
    density, rate = density / 10**4, rate / 100
    if density * prunable < 1.001:
        return
    counts = [prunable, *ladder_counts(prunable, density=density, rate=rate)]
    assert all(lower <= upper for upper, lower in pairwise(counts))
    assert counts[-1] >= 1


@pytest.mark.parametrize("density", [0, 1.5, -1])
def test_a_density_out_of_range_is_an_error(density):
    with pytest.raises(DensityError, match=r"density must be a number in \(0, 1\]"):
        ladder_counts(100, density=density, rate=0.2)


@pytest.mark.parametrize("rate", [1, 1.0, -0.2, 1.2, "0.2"])
def test_a_rate_out_of_range_is_an_error(rate):
    with pytest.raises(DensityError, match="rate must be"):
        ladder_counts(100, density=0.5, rate=rate)
    with pytest.raises(DensityError, match="rate must be"):
        round_counts(100, rate=rate, rounds=2)


def test_a_ladder_needs_a_rate_that_prunes():
    with pytest.raises(DensityError, match=r"rate must be in \(0, 1\)"):
        ladder_counts(100, density=0.5, rate=0)


def test_rounds_that_keep_nothing_are_an_error():
    with pytest.raises(DensityError, match="round 4 would keep none of 10"):
        round_counts(10, rate=0.5, rounds=5)
    with pytest.raises(DensityError, match="round 2 would keep none of 3"):
        layer_counts({"a": 2, "b": 1}, rates={"a": 0.5, "b": 0.5}, rounds=3)
    with pytest.raises(DensityError, match="rounds must be"):
        round_counts(10, rate=0.5, rounds=-1)


def test_rates_of_other_layers_are_an_error():
    with pytest.raises(DensityError, match=r"\['b', 'c'\]"):
        layer_counts({"a": 4, "b": 4}, rates={"a": 0.5, "c": 0.5}, rounds=1)


def test_an_exponential_schedule_has_density_a_tenth_at_step_50_of_100_on_the_way_to_a_hundredth():
    counts = exponential_counts(RESNET20, density=0.01, rounds=100)
    assert len(counts) == 100
    assert counts[49] == 27_089
    assert counts[-1] == 2_708
    assert counts[0] == 258_703  # 270,896 * 0.01 ** 0.01 = 258,703.9


def test_an_exponential_schedule_finds_roots_that_are_whole_numbers():
    # 0.001 ** (1 / 3) is 0.09999999999999998 in binary.
    assert exponential_counts(1000, density=0.001, rounds=3) == [100, 10, 1]
    assert exponential_counts(10**9, density=1e-9, rounds=9) == [
        10**exponent for exponent in range(8, -1, -1)
    ]


def test_an_exponential_schedule_of_one_round_and_of_density_1():
    assert exponential_counts(100, density=0.29, rounds=1) == [29]
    assert exponential_counts(7, density=1, rounds=3) == [7, 7, 7]


@given(st.integers(1, 10**6), st.integers(1, 10**4), st.integers(1, 120))
def test_an_exponential_schedule_is_the_exact_floor_and_never_goes_up(prunable, density, rounds):
    density = density / 10**4
    if density * prunable < 1.001:
        return
    counts = exponential_counts(prunable, density=density, rounds=rounds)
    assert len(counts) == rounds
    assert all(lower <= upper for upper, lower in pairwise([prunable, *counts]))
    fraction = Fraction(str(density))
    for number, count in enumerate(counts, start=1):
        # count <= density ** (number / rounds) * prunable < count + 1, in whole numbers.
        power = fraction**number * prunable**rounds
        assert count**rounds <= power < (count + 1) ** rounds


@pytest.mark.parametrize("rounds", [0, -1, 2.0, True])
def test_an_exponential_schedule_needs_a_round(rounds):
    with pytest.raises(DensityError, match="rounds must be a whole number, at least 1"):
        exponential_counts(100, density=0.5, rounds=rounds)


def test_an_exponential_schedule_that_keeps_nothing_is_an_error():
    with pytest.raises(DensityError, match="keeps none of 100"):
        exponential_counts(100, density=0.001, rounds=5)
