import math
import random
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.significance import (
    adjust,
    binomial_bits,
    poisson_binomial_bits,
    randomised_p,
)


def bits_naively(hits: int, n: int, p: float) -> float:
    """-log2 of the tail, summed in whole numbers."""
    chance = Fraction(p)
    numerator, denominator = chance.numerator, chance.denominator
    tail = sum(
        math.comb(n, count) * numerator**count * (denominator - numerator) ** (n - count)
        for count in range(hits, n + 1)
    )
    shift = tail.bit_length() - (denominator**n).bit_length()
    return -(shift + math.log2(Fraction(tail, denominator**n) / Fraction(2) ** shift))


@pytest.mark.parametrize(
    ("hits", "n", "p", "probability"),
    [
        (10, 10, 0.5, 0.0009765625),
        (15, 20, 0.5, 0.020694732666),
        (640, 1024, 0.5, 5.7253e-16),
        (91, 100, 0.1, 7.4505e-80),
        (81, 100, 0.1, 1.8e-62),
        (18, 100, 0.1, 0.0100),
        (16, 100, 0.1, 0.040),
        (16, 100, 0.01, 6.1e-15),
    ],
)
def test_known_tails(hits, n, p, probability):
    digits = len(f"{probability:g}".replace(".", "").split("e")[0].strip("0"))
    assert 2 ** -binomial_bits(hits, n, p) == pytest.approx(probability, rel=10 ** (1 - max(digits, 2)) / 2)


def test_tails_that_no_float_can_hold_are_exact():
    assert binomial_bits(1152, 1152, 0.5) == 1152.0
    assert poisson_binomial_bits(1152, [0.5] * 1152) == 1152.0
    assert binomial_bits(1151, 1152, 0.5) == pytest.approx(1152 - math.log2(1153), rel=1e-15)
    assert binomial_bits(5000, 5000, 0.125) == 15000.0


@pytest.mark.parametrize(
    ("n", "p"), [(20, 0.5), (100, 0.1), (100, 0.01), (100, 1 / 9), (60, 0.9), (300, 0.125)]
)
def test_every_tail_agrees_with_whole_numbers(n, p):
    for hits in range(1, n + 1):
        assert binomial_bits(hits, n, p) == pytest.approx(bits_naively(hits, n, p), rel=1e-12, abs=1e-15)
    assert binomial_bits(0, n, p) == 0.0


def test_a_certain_hit_is_no_evidence():
    assert binomial_bits(7, 7, 1.0) == 0.0
    assert binomial_bits(0, 0, 0.5) == 0.0


@pytest.mark.parametrize(
    ("n", "at_40_bits", "at_64_bits"),
    [
        (256, 184, 200),
        (512, 336, 358),
        (1024, 625, 657),
        (1152, 696, 730),
        (2048, 1184, 1230),
        (4096, 2274, 2339),
    ],
)
def test_matches_of_fair_coins_are_worth_their_bits(n, at_40_bits, at_64_bits):
    assert binomial_bits(at_40_bits - 1, n, 0.5) < 40 <= binomial_bits(at_40_bits, n, 0.5)
    assert binomial_bits(at_64_bits - 1, n, 0.5) < 64 <= binomial_bits(at_64_bits, n, 0.5)


@pytest.mark.parametrize(
    ("p", "at_40_bits", "at_64_bits"), [(0.1, 37, 46), (0.01, 15, 20), (0.16, 47, 57), (0.2, 53, 63)]
)
def test_hits_of_a_hundred_triggers_are_worth_their_bits(p, at_40_bits, at_64_bits):
    assert binomial_bits(at_40_bits - 1, 100, p) < 40 <= binomial_bits(at_40_bits, 100, p)
    assert binomial_bits(at_64_bits - 1, 100, p) < 64 <= binomial_bits(at_64_bits, 100, p)


def test_every_try_is_charged():
    assert adjust(50.0, tries_log2=10.0) == 40.0
    assert adjust(5.0, tries_log2=10.0) == 0.0
    for tries in (-1.0, math.nan):
        with pytest.raises(OwnershipError, match="tries must be 1 or more"):
            adjust(5.0, tries_log2=tries)


def test_randomised_p_values_of_a_true_null_are_uniform_and_plain_ones_are_not():
    draw = random.Random(0)
    n, p = 16, 0.125
    counts = [sum(draw.random() < p for _ in range(n)) for _ in range(3000)]

    randomised = [randomised_p(count, n, p, draw.random()) for count in counts]
    plain = [2 ** -binomial_bits(count, n, p) for count in counts]

    assert kstest(randomised, "uniform").pvalue > 0.01
    assert kstest(plain, "uniform").pvalue < 1e-6


def test_randomised_p_values_lie_between_the_tails():
    assert randomised_p(2, 2, 0.5, 0.0) == 0.0
    assert randomised_p(2, 2, 0.5, 1.0) == 0.25
    assert randomised_p(1, 2, 0.5, 0.5) == pytest.approx(0.5)
    with pytest.raises(OwnershipError, match="uniform must be from 0 to 1"):
        randomised_p(1, 2, 0.5, 1.5)


def test_a_biased_null_of_ten_tries():
    bits = poisson_binomial_bits(8, [0.7] * 6 + [0.3] * 4)

    assert 2**-bits == pytest.approx(0.0689240664, abs=5e-11)


@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.85, 1.0]), min_size=1, max_size=6),
    st.integers(0, 6),
)
def test_unequal_tries_agree_with_all_their_outcomes(chances, hits):
    hits = min(hits, len(chances))
    tail = sum(
        math.prod(p if hit else 1 - p for p, hit in zip(chances, outcome, strict=True))
        for outcome in product([0, 1], repeat=len(chances))
        if sum(outcome) >= hits
    )

    found = poisson_binomial_bits(hits, chances)

    assert 2**-found == pytest.approx(tail, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("hits", [1, 40, 57, 58, 59, 90, 150, 400])
def test_equal_tries_are_binomial(hits):
    chances = [0.125] * 460

    assert poisson_binomial_bits(hits, chances) == pytest.approx(
        binomial_bits(hits, 460, 0.125), rel=1e-10, abs=1e-12
    )


def test_what_cannot_happen_is_infinitely_surprising():
    assert poisson_binomial_bits(2, [0.5, 0.0]) == math.inf
    assert poisson_binomial_bits(0, []) == 0.0


@pytest.mark.parametrize(
    ("hits", "n", "p", "words"),
    [
        (11, 10, 0.5, "there cannot be 11 hits in 10 tries"),
        (-1, 10, 0.5, "there cannot be -1 hits"),
        (1, 10, 0.0, "above 0 and at most 1, not 0.0"),
        (1, 10, 1.1, "not 1.1"),
        (1, 10, math.nan, "not nan"),
    ],
)
def test_impossible_numbers_are_refused(hits, n, p, words):
    with pytest.raises(OwnershipError, match=words):
        binomial_bits(hits, n, p)


def test_impossible_unequal_tries_are_refused():
    with pytest.raises(OwnershipError, match="3 hits in 2 tries"):
        poisson_binomial_bits(3, [0.5, 0.5])
    for chance in (-0.1, 1.1, math.nan):
        with pytest.raises(OwnershipError, match="every chance must be from 0 to 1"):
            poisson_binomial_bits(1, [0.5, chance])
