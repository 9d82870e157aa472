import pytest

from lottery_pipeline.robustness.corruptions.errors import (
    compare_with_reference,
    find_prune_potentials,
    gather_errors,
    mean_corruption_error,
    prune_potential,
    relative_corruption_error,
)
from lottery_pipeline.robustness.corruptions.names import VALIDATION_CORRUPTIONS
from lottery_pipeline.robustness.rows import make_row

ERRORS = {"fog": [0.1, 0.2, 0.3], "contrast": [0.4, 0.5, 0.6]}


def test_the_reference_itself_has_an_error_of_one_and_halved_errors_of_one_half():
    halved = {name: [error / 2 for error in column] for name, column in ERRORS.items()}
    assert mean_corruption_error(ERRORS, ERRORS).mean == pytest.approx(1)
    assert mean_corruption_error(halved, ERRORS).mean == pytest.approx(0.5)
    assert mean_corruption_error(halved, ERRORS).by_corruption == pytest.approx({"fog": 0.5, "contrast": 0.5})


def test_the_mean_is_over_corruptions_of_ratios_of_sums():
    errors = {"fog": [0.3, 0.3, 0.3], "contrast": [0.2, 0.2, 0.2]}
    found = mean_corruption_error(errors, ERRORS)
    assert found.by_corruption == pytest.approx({"fog": 0.9 / 0.6, "contrast": 0.6 / 1.5})
    assert found.mean == pytest.approx((1.5 + 0.4) / 2)
    assert found.fault is None


def test_the_order_of_severities_does_not_matter():
    errors = {"fog": [0.3, 0.1, 0.2], "contrast": [0.6, 0.5, 0.1]}
    shuffled = {"fog": [0.2, 0.3, 0.1], "contrast": [0.1, 0.6, 0.5]}
    assert mean_corruption_error(shuffled, ERRORS).mean == pytest.approx(
        mean_corruption_error(errors, ERRORS).mean
    )


def test_the_relative_form_subtracts_the_clean_error_of_each():
    errors = {"fog": [0.2, 0.3, 0.4], "contrast": [0.2, 0.2, 0.2]}
    found = relative_corruption_error(errors, ERRORS, clean=0.2, reference_clean=0.1)
    assert found.by_corruption == pytest.approx({"fog": 0.3 / 0.3, "contrast": 0.0})
    assert found.mean == pytest.approx(0.5)


@pytest.mark.parametrize("reference", [[0.1, 0.1, 0.1], [0.05, 0.1, 0.05]])
def test_a_reference_that_loses_nothing_leaves_no_mean_and_says_why(reference):
    found = relative_corruption_error(
        ERRORS, {"fog": reference, "contrast": [0.4, 0.5, 0.6]}, clean=0.0, reference_clean=0.1
    )
    assert (found.mean, found.by_corruption["fog"]) == (None, None)
    assert found.by_corruption["contrast"] == pytest.approx(1.5 / 1.2)
    assert found.fault == "the reference loses nothing under fog, so there is nothing to divide by"


@pytest.mark.parametrize("name", VALIDATION_CORRUPTIONS)
def test_the_corruptions_for_validation_never_enter_a_mean(name):
    one_more = ERRORS | {name: [0.1, 0.2, 0.3]}
    with pytest.raises(ValueError, match=f"{name} is for validation only and must not enter the mean"):
        mean_corruption_error(one_more, one_more)


@pytest.mark.parametrize(
    ("errors", "reference", "words"),
    [
        ({"rain": [0.1]}, {"rain": [0.1]}, "'rain' is not a valid corruption"),
        ({"fog": [0.1], "snow": [0.1, 0.2]}, {"fog": [0.1]}, "the same number of severities"),
        ({}, {}, "the same number of severities"),
        ({"fog": []}, {"fog": []}, "the same number of severities"),
        ({"fog": [0.1]}, {"snow": [0.1]}, "the same corruption cells"),
        ({"fog": [0.1]}, {"fog": [0.1, 0.2]}, "the same corruption cells"),
    ],
)
def test_what_cannot_be_compared_is_refused(errors, reference, words):
    with pytest.raises(ValueError, match=words):
        mean_corruption_error(errors, reference)


def measured(errors, clean):
    cells = [
        {"corruption": name, "severity": severity, "error": error, "n": 2}
        for name, column in errors.items()
        for severity, error in enumerate(column, start=1)
    ]
    return {"cells": cells, "clean_error": clean, "right": [3, 4]}


def test_rows_hold_both_forms_by_corruption_and_in_the_mean():
    doubled = {name: [2 * error for error in column] for name, column in ERRORS.items()}
    assert gather_errors(measured(ERRORS, 0.1)["cells"]) == ERRORS
    rows, faults = compare_with_reference(measured(doubled, 0.2), measured(ERRORS, 0.1))
    found = {(row["setting"], row["metric"]): row["value"] for row in rows}
    settings = {("fog", ""), ("contrast", ""), ("mean", "mean_")}
    assert found == {
        (setting, f"{form}{mean}corruption_error"): pytest.approx(2)
        for setting, mean in settings
        for form in ("", "relative_")
    }
    assert {(row["family"], row["n"]) for row in rows} == {("corruption", 2)}
    assert faults == []


def test_a_mean_without_a_value_comes_with_its_sentence():
    rows, faults = compare_with_reference(measured(ERRORS, 0.1), measured({**ERRORS, "fog": [0.1] * 3}, 0.1))
    found = {(row["setting"], row["metric"]): row["value"] for row in rows}
    assert found["mean", "relative_mean_corruption_error"] is None
    assert found["mean", "mean_corruption_error"] is not None
    (fault,) = faults
    assert fault.startswith("relative_mean_corruption_error: the reference loses nothing under fog")


def test_the_prune_potential_is_the_highest_sparsity_within_half_a_point():
    accuracies = {1: 0.950, 0.5: 0.953, 0.2: 0.945, 0.1: 0.9449, 0.05: 0.80}
    assert prune_potential(accuracies) == pytest.approx(0.8)
    assert prune_potential(accuracies, margin=0.02) == pytest.approx(0.9)
    # A sparser ticket counts even if a denser one does not.
    assert prune_potential({1: 0.95, 0.5: 0.90, 0.1: 0.95}) == pytest.approx(0.9)
    assert prune_potential({1: 0.95, 0.5: 0.90}) == 0
    with pytest.raises(ValueError, match="needs the accuracy of the dense network"):
        prune_potential({0.5: 0.9})


def test_prune_potentials_are_nominal_and_by_corruption():
    def network(density, **accuracies):
        return [
            {"density": density, **make_row("corruption", setting, "accuracy", value, n=50)}
            for setting, value in accuracies.items()
        ]

    rows = [
        *network(1.0, clean=0.9, fog=0.8, mean=0.7),
        *network(0.1, clean=0.9, fog=0.6, mean=0.6),
        *network(0.1, clean=0.2, fog=0.2, mean=0.2),
        *network(0.5, clean=0.9, fog=0.8, mean=0.6),
        {"density": 0.1, **make_row("corruption", "fog 5", "accuracy", 0.5)},
        {"density": 0.1, **make_row("corruption", "mean", "mean_corruption_error", 0.5)},
        {"density": 0.1, **make_row("adversarial", "mean", "accuracy", 0.5)},
    ]
    found = find_prune_potentials(rows)
    assert {row["setting"]: (row["metric"], row["value"], row["n"]) for row in found} == {
        "clean": ("prune_potential", 0.9, 50),
        "fog": ("prune_potential", 0.5, 50),
        "mean": ("prune_potential", 0, 50),
    }
