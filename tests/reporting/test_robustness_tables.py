import pytest

from lottery_pipeline.reporting.robustness_tables import (
    choose_strangers,
    describe_comparisons,
    describe_strangers,
    describe_summary,
)
from lottery_pipeline.robustness.rows import make_row
from tests.reporting.robustness_records import (
    compare,
    make_check,
    make_full_record,
    make_record,
    make_rows,
    name_network,
)


def list_headings(summary):
    assert all(words.endswith(".") for _, words in summary["columns"])
    return [heading for heading, _ in summary["columns"]]


def cells(record, label):
    summary = describe_summary(record)
    row = next(row for row in summary["rows"] if row["label"] == label)
    return dict(zip(list_headings(summary), row["cells"], strict=True))


def test_the_summary_has_a_cell_for_every_measure_with_its_interval():
    assert cells(make_record(), "LTR") == {
        "Clean": ("88.0%", "84.6 to 91.4%"),
        "Robust, Linf eps 8/255": ("10.0%", "5.7 to 14.3%"),
        "Median least eps": ("2/255", "1/255 to above 8/255"),
        "C-like, mean": ("82.0%", "76.6 to 87.4%"),
        "mCE against dense": ("90.0%", ""),
        "AUROC: shuffled pixels": ("90.0%", "85.7 to 94.3%"),
        "FPR95, strangers positive: shuffled pixels": ("21.0%", ""),
        "ECE": ("3.0%", "2.0 to 4.0%"),
        "NLL": ("0.123", "0.1 to 0.15"),
    }


def test_a_floor_is_named_in_the_heading():
    summary = describe_summary(make_record(classes=1))
    assert "Robust, Linf eps 1/255 (a floor)" in list_headings(summary)


def test_families_that_were_left_out_have_no_column():
    rows = [row for row in make_record()["rows"] if row["family"] == "corruption"]
    headings = list_headings(describe_summary(make_record(rows=rows, corruptions=None)))
    assert headings == ["Clean", "Corrupted, mean", "mCE against dense"]


def test_failed_checks_are_counted_by_network():
    checks = [make_check("ltr", passed=False)] * 2 + [make_check("dense", passed=None)]
    rows = describe_summary(make_record(checks=checks))["rows"]
    assert [(row["label"], row["failed"], row["is_dense"]) for row in rows] == [
        ("Dense network", 0, True),
        ("LTR", 2, False),
    ]


def test_numbers_that_are_missing_are_dashes():
    missing = {"value": float("nan"), "low": None}
    rows = [row | (missing if row["method"] == "ltr" else {}) for row in make_record()["rows"]]
    found = cells(make_record(rows=rows), "LTR")
    assert {text for heading, (text, _) in found.items() if heading != "Median least eps"} == {"–"}


@pytest.mark.parametrize(
    ("difference", "half", "shown", "verdict"),
    [
        (0.0, 0.005, 1, "yes"),
        (-0.05, 0.01, 0, "no"),
        (-0.02, 0.015, 0, "undecided"),
        (-0.02, 0.01, 0, "undecided"),  # its upper bound is minus the margin itself
        (0.0, 0.005, None, "undecided"),
    ],
)
def test_not_worse_is_yes_no_or_undecided(difference, half, shown, verdict):
    rows = compare("ltr", "clean", difference, half, p=0.1, holm=0.2, shown=shown)
    (row,) = describe_comparisons(make_record(rows=rows))
    assert row["verdict"] == verdict


def test_without_a_margin_nobody_is_called_worse():
    rows = compare("ltr", "clean", -0.5, 0.01, p=0.1, holm=0.2, shown=0)
    (row,) = describe_comparisons(make_record(rows=rows, margin=None))
    assert row["verdict"] == "undecided"


def test_a_comparison_has_difference_interval_and_both_p_values():
    rows = describe_comparisons(make_record())
    assert [row["setting"] for row in rows] == ["clean images", "Linf eps 8/255", "corrupted images, mean"]
    attacked = rows[1]
    assert (attacked["difference"], attacked["low"], attacked["high"]) == pytest.approx((-0.1, -0.13, -0.07))
    assert (attacked["mcnemar"], attacked["holm"], attacked["n"]) == ("<0.001", "0.001", 200)


def test_one_network_alone_is_compared_with_nobody():
    record = make_record(networks=[name_network("dense")])
    assert describe_comparisons(record) == []
    assert [row["label"] for row in describe_summary(record)["rows"]] == ["Dense network"]


def test_the_set_of_strangers_in_the_summary_is_the_one_that_dense_tells_apart_worst():
    assert choose_strangers(make_full_record()) == ("other_digits", "energy")
    assert choose_strangers(make_record(rows=[])) is None
    alone = make_rows("ltr", make_row("out_of_distribution", "noise msp", "auroc", 0.9))
    assert choose_strangers({"networks": [name_network("ltr")], "rows": alone}) == ("noise", "msp")


def test_strangers_are_listed_by_set_and_score_in_both_conventions():
    rows = describe_strangers(make_record())
    assert [(row["label"], row["set"], row["score"], row["values"]) for row in rows] == [
        ("Dense network", "shuffled pixels", "energy", [0.95, 0.91, 0.92, 0.21, 0.22]),
        ("LTR", "shuffled pixels", "energy", [0.9, 0.91, 0.92, 0.21, 0.22]),
    ]
    assert len(describe_strangers(make_full_record())) == 11 * 9
