import numpy as np
import pytest
from scipy.stats import binomtest

from lottery_pipeline.statistics.proportions import wilson_interval


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_bounds_are_those_of_newcombes_table(successes, n, low, high):
    interval = wilson_interval(successes, n)
    assert (interval.mean, interval.n) == (successes / n, n)
    assert (interval.low, interval.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("successes", [0, 1, 180, 358, 359])
def test_the_bounds_are_those_of_scipy(successes, confidence):
    other = binomtest(successes, 359).proportion_ci(confidence, method="wilson")
    assert wilson_interval(successes, 359, confidence)[1:3] == pytest.approx(tuple(other), abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 20, 359, 10_000])
def test_the_bounds_of_none_and_of_all_touch_0_and_1(n):
    assert wilson_interval(0, n).low == 0
    assert wilson_interval(n, n).high == 1


@pytest.mark.parametrize("proportion", [0.1, 0.5, 0.9, 0.97])
def test_95_of_100_intervals_hold_the_true_proportion(proportion):
    bounds = [wilson_interval(successes, 200)[1:3] for successes in range(201)]
    drawn = np.random.default_rng(0).binomial(200, proportion, size=20_000)
    held = np.array([low <= proportion <= high for low, high in bounds])[drawn].mean()
    assert 0.93 <= held <= 0.97


def test_an_interval_of_another_confidence_does_not_hold_as_often():
    bounds = [wilson_interval(successes, 200, 0.8)[1:3] for successes in range(201)]
    drawn = np.random.default_rng(0).binomial(200, 0.5, size=20_000)
    assert np.array([low <= 0.5 <= high for low, high in bounds])[drawn].mean() < 0.85


@pytest.mark.parametrize(
    ("successes", "n", "confidence"), [(1, 0, 0.95), (-1, 5, 0.95), (6, 5, 0.95), (1, 5, 1.0)]
)
def test_what_has_no_interval_is_refused(successes, n, confidence):
    with pytest.raises(ValueError, match=r"0 <= successes <= n|must be in \(0, 1\)"):
        wilson_interval(successes, n, confidence)
