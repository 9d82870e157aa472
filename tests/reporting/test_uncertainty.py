import math

import pytest

from lottery_pipeline.reporting.uncertainty import (
    count_test_images,
    find_interval,
    find_test_interval,
    print_interval,
)
from tests.reporting.records import make_metrics


def test_the_images_are_those_of_all_classes():
    assert count_test_images(make_metrics(classes=[{"images": 30}, {"images": 12}])) == 42


@pytest.mark.parametrize("changes", [{"metric": "mIoU"}, {"metric": "PCK"}, {"classes": None}])
def test_a_score_that_counts_no_images_has_no_interval(changes):
    assert find_test_interval(make_metrics(**changes)) is None


def test_the_interval_is_that_of_wilson():
    # 9 of 10 by hand: (p + z^2/2n ± z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n) with z = 1.96
    found = find_interval(0.9, 10)
    assert (found.mean, found.n) == (0.9, 10)
    assert (found.low, found.high) == (pytest.approx(0.5958, abs=1e-4), pytest.approx(0.9821, abs=1e-4))
    assert print_interval(found) == "59.6% to 98.2%"


@pytest.mark.parametrize(("accuracy", "images"), [(None, 10), (math.nan, 10), (0.9, None)])
def test_what_is_not_known_has_no_interval(accuracy, images):
    assert find_interval(accuracy, images) is None
    assert print_interval(None) == ""
