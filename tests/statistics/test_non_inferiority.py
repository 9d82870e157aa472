import pytest

from lottery_pipeline.statistics.intervals import Interval, t_interval
from lottery_pipeline.statistics.non_inferiority import is_non_inferior


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.009, 0.02, True),
        (-0.011, 0.05, False),  # better on average, and still not shown to be as good
        (-0.01, 0.0, False),  # the margin itself is lost
        (-0.008, -0.002, True),  # surely worse, but by less than the margin
        (0.01, 0.02, True),
    ],
)
def test_the_lower_bound_decides(low, high, verdict):
    assert is_non_inferior(Interval((low + high) / 2, low, high, 5), 0.01) is verdict


def test_without_bounds_there_is_no_verdict():
    assert is_non_inferior(t_interval([0.3]), 0.01) is None


@pytest.mark.parametrize("margin", [-0.01, float("nan")])
def test_a_margin_that_demands_a_gain_is_refused(margin):
    with pytest.raises(ValueError, match="at least 0"):
        is_non_inferior(Interval(0.0, -0.1, 0.1, 5), margin)
