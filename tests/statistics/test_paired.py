import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from lottery_pipeline.statistics.paired import (
    bootstrap_interval,
    bootstrap_statistic,
    draw_resamples,
    find_percentiles,
    mcnemar,
    paired_bootstrap,
)


def answers(both: int, only_first: int, only_second: int, neither: int) -> tuple[list[bool], list[bool]]:
    counts = (both, only_first, only_second, neither)
    first, second = (True, True, False, False), (True, False, True, False)
    return tuple(
        [answer for answer, count in zip(kind, counts, strict=True) for _ in range(count)]
        for kind in (first, second)
    )


def test_mcnemar_of_a_textbook_table():
    # Of 161 items, 6 changed one way and 16 the other. By hand: 2 P(X <= 6), X ~ B(22, 1/2).
    found = mcnemar(*answers(59, 6, 16, 80))
    by_hand = 2 * sum(math.comb(22, k) for k in range(7)) / 2**22
    assert (found.only_first, found.only_second) == (6, 16)
    assert found.p == pytest.approx(by_hand, rel=1e-12)
    assert found.p == pytest.approx(0.0525, abs=5e-5)


@given(st.integers(0, 30), st.integers(0, 30))
@settings(max_examples=30)
def test_mcnemar_is_the_binomial_test_of_the_items_that_differ(only_first, only_second):
    found = mcnemar(*answers(5, only_first, only_second, 5))
    differ = only_first + only_second
    assert found.p == pytest.approx(binomtest(only_first, differ).pvalue if differ else 1.0)
    assert found.p == mcnemar(*answers(40, only_second, only_first, 0)).p


def test_networks_that_never_differ_are_not_different():
    assert mcnemar([True, False], [True, False]) == (0, 0, 1.0)


@pytest.mark.parametrize("pair", [([], []), ([True], [True, False])])
def test_pairs_that_do_not_match_are_refused(pair):
    with pytest.raises(ValueError, match="same items on both sides"):
        mcnemar(*pair)
    with pytest.raises(ValueError, match="same items on both sides"):
        paired_bootstrap(*pair, resamples=100, seed=0)


def test_95_of_100_bootstrap_intervals_hold_the_true_difference():
    generator, held = np.random.default_rng(0), 0
    for seed in range(400):
        # Images that are hard for both: each network is right with a probability that belongs to the image.
        easy = generator.random(200)
        first, second = (generator.random((2, 200)) < easy) * 1.0
        found = paired_bootstrap(first, second + 0.25, resamples=400, seed=seed)
        held += found.low <= -0.25 <= found.high
    assert 0.93 <= held / 400 <= 0.97


def test_the_bootstrap_of_a_mean_is_as_wide_as_the_central_limit_theorem_says():
    values = np.random.default_rng(0).normal(size=1000)
    found = bootstrap_interval(values, resamples=5000, seed=0)
    assert found.mean == pytest.approx(values.mean())
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * values.std() / math.sqrt(1000), rel=0.05)


def test_pairing_makes_an_interval_narrower_if_the_items_are_alike():
    first = np.random.default_rng(0).normal(size=200)
    second = first + 0.1 * np.random.default_rng(1).normal(size=200)
    paired = paired_bootstrap(first, second, resamples=500, seed=0)
    alone = bootstrap_interval(first, resamples=500, seed=0)
    assert paired.mean == pytest.approx((first - second).mean())
    assert paired.high - paired.low < 0.2 * (alone.high - alone.low)


def test_a_statistic_that_is_the_mean_has_the_interval_of_the_mean():
    values = np.random.default_rng(0).normal(size=50)
    found = bootstrap_statistic(lambda indices: values[indices].mean(), 50, resamples=300, seed=4)
    assert found == pytest.approx(bootstrap_interval(values, resamples=300, seed=4))


def test_a_statistic_may_be_infinite():
    values = np.array([0.1] * 40 + [math.inf] * 45)
    found = bootstrap_statistic(
        lambda indices: float(np.sort(values[indices])[42]), 85, resamples=300, seed=0, confidence=0.9
    )
    assert (found.mean, found.low, found.high, found.n) == (math.inf, 0.1, math.inf, 85)


def test_the_same_seed_gives_the_same_interval_and_another_another():
    values = np.random.default_rng(0).normal(size=50)
    first, again, other = (bootstrap_interval(values, resamples=200, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


def test_one_value_has_no_bounds():
    assert bootstrap_interval([0.5], resamples=100, seed=0) == (0.5, None, None, 1)


def test_a_bootstrap_draws_every_item_alike_and_as_many_as_there_are():
    draws = np.concatenate(list(draw_resamples(700, resamples=3000, seed=0)))
    assert draws.shape == (3000, 700)
    counts = np.bincount(draws.ravel())
    assert len(counts) == 700
    assert abs(counts - 3000).max() < 6 * math.sqrt(3000)


def test_percentiles_cut_the_same_share_off_both_ends():
    assert find_percentiles(np.arange(1000)[::-1], 0.95) == (25, 974)
    assert find_percentiles(np.array([3.0, 1.0, 2.0]), 0.95) == (1, 3)


@pytest.mark.parametrize(
    ("values", "resamples", "confidence"), [([], 100, 0.95), ([1.0, 2.0], 0, 0.95), ([1.0, 2.0], 100, 95)]
)
def test_what_has_no_interval_is_refused(values, resamples, confidence):
    with pytest.raises(ValueError, match=r"needs items and resamples|must be in \(0, 1\)"):
        bootstrap_interval(values, resamples=resamples, seed=0, confidence=confidence)


def test_statsmodels_is_imported_only_when_a_test_is_asked_for():
    modules = ("paired", "proportions", "multiple_tests", "non_inferiority")
    code = "; ".join(f"import lottery_pipeline.statistics.{name}" for name in modules)
    code = f"import sys; {code}; sys.exit('statsmodels' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
