import math
import subprocess
import sys

import pytest

from lottery_pipeline.statistics.intervals import t_interval


@pytest.mark.parametrize(
    ("n", "confidence", "t"),
    [(2, 0.95, 12.706), (3, 0.95, 4.3027), (5, 0.95, 2.7764), (10, 0.95, 2.2622), (3, 0.99, 9.9248)],
)
def test_the_half_width_is_that_of_the_published_table(n, confidence, t):
    values = [float(value) for value in range(n)]
    deviation = math.sqrt(sum((value - (n - 1) / 2) ** 2 for value in values) / (n - 1))
    interval = t_interval(values, confidence)
    assert (interval.mean, interval.n) == ((n - 1) / 2, n)
    assert interval.high - interval.mean == pytest.approx(t * deviation / math.sqrt(n), rel=1e-4)
    assert interval.mean - interval.low == pytest.approx(interval.high - interval.mean)


def test_one_value_has_no_interval():
    assert t_interval([0.5]) == (0.5, None, None, 1)


def test_equal_values_have_an_interval_of_no_width():
    assert t_interval([0.25, 0.25, 0.25]) == (0.25, 0.25, 0.25, 3)


@pytest.mark.parametrize(("values", "confidence"), [([], 0.95), ([1.0, 2.0], 1.0), ([1.0, 2.0], 95)])
def test_what_has_no_interval_is_refused(values, confidence):
    with pytest.raises(ValueError, match=r"at least one value|must be in \(0, 1\)"):
        t_interval(values, confidence)


def test_scipy_is_imported_only_when_an_interval_is_asked_for():
    code = "import sys, lottery_pipeline.statistics.intervals; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
