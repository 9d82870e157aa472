import math

import pytest

from lottery_pipeline.reporting.spreading import measure_span, spread


def test_markers_that_hide_no_other_stay():
    assert spread([(1.0, 0.5), (1.0, 0.6), (2.0, 0.5)], 0.1, 0.05) == [1.0, 1.0, 2.0]


def test_equal_markers_stand_side_by_side_to_the_right_first():
    moved = spread([(1.0, 0.5)] * 4, 0.1, 0.05)
    assert moved == pytest.approx([1.0, 1.1, 0.9, 1.2])


def test_a_moved_marker_hides_no_third_one():
    assert spread([(1.0, 0.5), (1.1, 0.5), (1.0, 0.5)], 0.1, 0.05) == pytest.approx([1.0, 1.1, 0.9])


def test_with_an_infinite_height_none_stands_above_another():
    assert spread([(0.0, 0.1), (0.0, 0.9)], 1.0, math.inf) == [0.0, 1.0]


def test_a_marker_without_a_place_has_none_and_takes_none():
    assert spread([(None, 0.5), (1.0, None), (1.0, 0.5)], 0.1, 0.05) == [None, 1.0, 1.0]


@pytest.mark.parametrize(("values", "span"), [([1.0, None, 4.0], 3.0), ([2.0], 1e-9), ([], 1e-9)])
def test_the_span_is_that_of_known_values_and_never_0(values, span):
    assert measure_span(values) == span
