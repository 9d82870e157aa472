import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from lottery_pipeline.statistics.intervals import t_interval
from lottery_pipeline.statistics.moments import t_bounds, t_test

VALUES = st.lists(st.floats(-1, 1), min_size=2, max_size=8)


def summarise(groups):
    return (
        [float(np.mean(group)) for group in groups],
        [float(np.std(group, ddof=1)) if len(group) > 1 else math.nan for group in groups],
        [len(group) for group in groups],
    )


def test_a_case_by_hand():
    # Of 1, 2, 3: mean 2, deviation 1, t of two degrees of freedom 4.3027: 2 -+ 4.3027 / sqrt(3).
    low, high = t_bounds([2.0], [1.0], [3])
    assert (low[0], high[0]) == pytest.approx((-0.4841, 4.4841), abs=1e-4)
    # t = 2 / (1 / sqrt(3)) = 3.4641 with two degrees of freedom: two-sided p = 0.0742.
    assert t_test([2.0], [1.0], [3])[0] == pytest.approx(0.0742, abs=1e-4)


@given(st.lists(VALUES, min_size=1, max_size=6))
def test_the_bounds_of_every_group_are_those_of_its_own_interval(groups):
    low, high = t_bounds(*summarise(groups))
    for place, group in enumerate(groups):
        own = t_interval(group)
        assert (low[place], high[place]) == pytest.approx((own.low, own.high), abs=1e-9)


def test_scipy_agrees_on_paired_differences():
    generator = np.random.default_rng(0)
    first, second = generator.random((2, 6)), generator.random((2, 6))
    p = t_test(*summarise(list(first - second)))
    assert p == pytest.approx([ttest_rel(a, b).pvalue for a, b in zip(first, second, strict=True)])


def test_one_value_has_neither_bounds_nor_a_test():
    low, high = t_bounds([0.5], [math.nan], [1])
    assert np.isnan([low[0], high[0], t_test([0.5], [math.nan], [1])[0]]).all()


def test_equal_differences_have_an_interval_of_no_width_but_no_test():
    # 0.3 - 0.1 and 0.4 - 0.2 differ by rounding alone: no chance of one in a million million speaks from it.
    differences = [0.3 - 0.1, 0.4 - 0.2]
    assert differences[0] != differences[1]
    mean, deviation, count = summarise([differences])
    low, high = t_bounds(mean, deviation, count)
    assert low[0] == pytest.approx(0.2)
    assert high[0] == pytest.approx(0.2)
    assert math.isnan(t_test(mean, deviation, count)[0])


def test_a_confidence_of_one_is_refused():
    with pytest.raises(ValueError, match="confidence"):
        t_bounds([0.0], [1.0], [2], 1.0)
