"""Tickets beside their dense parent, image by image."""

import pytest

from lottery_pipeline.options.robustness import AdversarialOptions
from lottery_pipeline.robustness.comparison import compare_networks, list_outcomes

ALL = {"margin": 0.01, "resamples": 500, "confidence": 0.95, "seed": 0}


def compare(outcomes, references, **changes):
    return compare_networks(outcomes, references, **{**ALL, **changes})


def value_of(rows, metric, setting="clean"):
    (row,) = [row for row in rows if (row["metric"], row["setting"]) == (metric, setting)]
    return row["value"]


def test_a_network_is_compared_with_its_own_dense_parent_and_a_dense_network_with_nothing() -> None:
    right, wrong = [1.0] * 10, [0.0] * 10
    rows = compare(
        {"dense": {"clean": right}, "own_dense": {"clean": wrong}, "ltr": {"clean": right}},
        {"dense": "dense", "own_dense": "own_dense", "ltr": "own_dense"},
    )
    assert rows["dense"] == rows["own_dense"] == []
    assert value_of(rows["ltr"], "difference") == 1.0


def test_ten_disagreements_in_one_direction_have_the_exact_p_of_mcnemar() -> None:
    dense = [1.0] * 10 + [1.0] * 90
    ltr = [0.0] * 10 + [1.0] * 90
    rows = compare({"dense": {"clean": dense}, "ltr": {"clean": ltr}}, {"dense": "dense", "ltr": "dense"})
    assert value_of(rows["ltr"], "difference") == pytest.approx(-0.1)
    assert value_of(rows["ltr"], "mcnemar_p") == pytest.approx(2 / 2**10)
    assert value_of(rows["ltr"], "holm_p") == pytest.approx(2 / 2**10), "there is one test"
    assert value_of(rows["ltr"], "non_inferior") == 0.0


def test_holm_counts_all_tests_of_the_comparison() -> None:
    dense, ltr, snip = [1.0] * 20, [0.0] * 10 + [1.0] * 10, [0.0] * 6 + [1.0] * 14
    references = {"dense": "dense", "ltr": "dense", "snip": "dense"}
    rows = compare({"dense": {"clean": dense}, "ltr": {"clean": ltr}, "snip": {"clean": snip}}, references)
    assert value_of(rows["ltr"], "holm_p") == pytest.approx(2 * 2 / 2**10)
    assert value_of(rows["snip"], "holm_p") == pytest.approx(2 / 2**6)


def test_a_network_that_is_the_same_is_not_worse() -> None:
    same = [1.0, 0.0] * 20
    rows = compare({"dense": {"clean": same}, "ltr": {"clean": same}}, {"dense": "dense", "ltr": "dense"})
    assert value_of(rows["ltr"], "non_inferior") == 1.0
    assert value_of(rows["ltr"], "mcnemar_p") == 1.0


def test_a_share_of_right_answers_has_a_difference_but_no_test_of_right_and_wrong() -> None:
    outcomes = {"dense": {"mean corruption": [0.5, 0.75]}, "ltr": {"mean corruption": [0.25, 0.5]}}
    rows = compare(outcomes, {"dense": "dense", "ltr": "dense"})
    assert value_of(rows["ltr"], "difference", "mean corruption") == -0.25
    assert {row["metric"] for row in rows["ltr"]} == {"difference", "non_inferior"}


def test_outcomes_are_those_at_the_largest_eps_that_was_asked_for() -> None:
    families = {
        "clean": {"right": [1, 1, 1, 0]},
        "adversarial": {"least_eps": [None, 4 / 255, 0.001, 0.0]},
        "corruptions": {"cells": [{}, {}], "right": [2, 1, 0, 0]},
    }
    assert list_outcomes(families, AdversarialOptions(eps="1/255 2/255")) == {
        "clean": [1.0, 1.0, 1.0, 0.0],
        "Linf eps 2/255": [1.0, 1.0, 0.0, 0.0],
        "mean corruption": [1.0, 0.5, 0.0, 0.0],
    }


def test_families_that_were_left_out_have_no_outcomes() -> None:
    assert list_outcomes({"clean": {"right": [1]}}, None) == {"clean": [1.0]}
