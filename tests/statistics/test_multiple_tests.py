import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from lottery_pipeline.statistics.multiple_tests import holm, holm_by_family


def test_a_case_by_hand():
    # Ascending .005 .01 .03 .04 times 4 3 2 1 is .02 .03 .06 .04; none may be below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_the_first_of_equal_p_values_is_not_ahead_of_the_others():
    assert holm([0.02, 0.02, 0.02]) == pytest.approx([0.06, 0.06, 0.06])


def test_one_test_needs_no_adjustment_and_no_test_has_none():
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


@given(st.lists(st.floats(1e-9, 1), min_size=1, max_size=12))
def test_an_adjusted_p_value_is_the_level_at_which_its_test_is_first_rejected(p_values):
    for index, level in enumerate(holm(p_values)):
        assert reject(p_values, min(1.0, level * (1 + 1e-9)))[index]
        assert not reject(p_values, level * (1 - 1e-9))[index]


def reject(p_values: list[float], level: float) -> list[bool]:
    """Reject from the smallest p-value upwards until one is above level / (tests that are left)."""
    rejected = [False] * len(p_values)
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] > level / (len(p_values) - rank) and level < 1:
            break
        rejected[index] = True
    return rejected


def test_statsmodels_agrees():
    p_values = np.random.default_rng(0).random(40) ** 4
    assert holm(p_values.tolist()) == pytest.approx(multipletests(p_values, method="holm")[1])


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_what_is_not_a_p_value_is_refused(p):
    with pytest.raises(ValueError, match=r"must be in \[0, 1\]"):
        holm([0.5, p])


def test_families_are_adjusted_apart_and_tests_that_were_not_made_do_not_count():
    adjusted = holm_by_family([0.01, 0.03, float("nan"), 0.02], ["a", "b", "a", "a"])
    assert adjusted == pytest.approx([0.02, 0.03, float("nan"), 0.02], nan_ok=True)


@given(st.lists(st.tuples(st.floats(1e-9, 1), st.sampled_from("ab")), min_size=1, max_size=12))
def test_within_a_family_a_smaller_p_value_never_ends_up_above_a_larger_one(tests):
    adjusted = holm_by_family(*zip(*tests, strict=True))
    for (p, family), ours in zip(tests, adjusted, strict=True):
        assert ours >= p
        for (q, other), theirs in zip(tests, adjusted, strict=True):
            assert family != other or p > q or ours <= theirs
