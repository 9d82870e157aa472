import math

import pytest

from lottery_pipeline.reporting.ranking import can_choose, pick_density, rank


def row(validation_accuracy, kept=100, density=0.1):
    return {"validation_accuracy": validation_accuracy, "kept": kept, "density": density}


def test_validation_accuracy_ranks_then_fewer_weights_then_the_name():
    rows = {"a": row(0.8), "b": row(0.9), "d": row(0.9, kept=50), "c": row(0.9)}
    assert sorted(rows, key=lambda name: rank(rows[name], name)) == ["d", "b", "c", "a"]


@pytest.mark.parametrize("missing", [None, math.nan])
def test_a_ticket_without_a_validation_accuracy_comes_last(missing):
    rows = {"a": row(missing), "b": row(0.0)}
    assert sorted(rows, key=lambda name: rank(rows[name], name)) == ["b", "a"]


def test_the_density_that_most_share_counts_and_of_several_the_lowest():
    assert pick_density([row(0.9, density=density) for density in (0.5, 0.1, 0.1)]) == 0.1
    assert pick_density([row(0.9, density=density) for density in (0.5, 0.1)]) == 0.1


def test_several_tickets_need_validation_images_to_have_a_best():
    assert can_choose([row(None)])
    assert can_choose([row(0.9), row(0.8)])
    assert not can_choose([row(0.9), row(None)])
