"""The statistics of the study of layer tickets, on numbers worked out by hand."""

import pytest

from benchmarks.layers.statistics import contrast_rows, holm, judge, non_inferiority, summarise_rows


def a_row(method, seed, accuracy, removed=1, matching=None):
    return {
        "network": "resnet32",
        "method": method,
        "criterion": "snip",
        "removed": removed,
        "matching": matching,
        "seed": seed,
        "test_accuracy": accuracy,
        "dense_accuracy": 0.5,
        "macs_dense": 100,
        "macs_executed": 90,
        "search_seconds": 1.0,
        "train_seconds": 2.0,
        "removed_blocks": ["network.layer1.3"],
    }


def test_holm_multiplies_by_the_number_left_and_never_falls():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.5]) == [1.0, 1.0]


def test_a_verdict_needs_the_whole_interval_on_one_side_of_minus_one_point():
    assert judge([0.001, 0.002, 0.003]) == "winning"
    assert judge([-0.031, -0.030, -0.029]) == "losing"
    assert judge([-0.03, 0.0, 0.03]) == "undecided"
    assert judge([0.05]) == "undecided"


def test_non_inferiority_is_the_one_sided_t_test_against_minus_one_point():
    # Mean 0, standard error 0.01 / sqrt(3): t = sqrt(3) with two degrees of freedom.
    assert non_inferiority([-0.01, 0.0, 0.01]) == pytest.approx(0.1127, abs=1e-4)
    assert non_inferiority([0.0]) is None


def test_differences_to_the_parent_are_summarised_over_seeds():
    [summary] = summarise_rows([a_row("layer", 0, 0.50), a_row("layer", 1, 0.52)])
    assert summary["minus_dense"]["mean"] == pytest.approx(0.01)
    assert summary["macs_saved"] == pytest.approx(0.1)
    assert summary["blocks_by_stage"] == [{"layer1": 1}, {"layer1": 1}]


def test_contrasts_average_within_a_seed_over_the_removals_that_all_seeds_have():
    rows = [
        a_row("layer", 0, 0.50),
        a_row("shallow", 0, 0.49),
        a_row("layer", 0, 0.54, removed=3),
        a_row("shallow", 0, 0.51, removed=3),
        a_row("layer", 1, 0.50),
        a_row("shallow", 1, 0.53),
        a_row("filter", 1, 0.40, matching="macs"),
        a_row("filter", 2, 0.40, matching="macs"),  # no layer ticket to be compared with
    ]
    shallow, filters = sorted(contrast_rows(rows), key=lambda row: row["method"], reverse=True)
    assert (shallow["seeds"], shallow["removed"]) == ([0, 1], [1])
    assert shallow["layer_minus_other"]["values"] == pytest.approx([0.01, -0.03])
    assert (filters["seeds"], filters["matching"]) == ([1], "macs")
    assert filters["layer_minus_other"]["values"] == pytest.approx([0.10])


def test_contrasts_of_two_removals_are_one_mean_for_a_seed():
    rows = [a_row("layer", 0, 0.51, removed=1), a_row("layer", 0, 0.53, removed=3)]
    rows += [a_row("shallow", 0, 0.50, removed=1), a_row("shallow", 0, 0.50, removed=3)]
    [contrast] = contrast_rows(rows)
    assert contrast["layer_minus_other"]["values"] == pytest.approx([0.02])
