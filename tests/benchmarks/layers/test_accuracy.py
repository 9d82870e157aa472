"""The recorded rows of the study of layer tickets: they stay readable, and the tables are theirs."""

import pytest

from benchmarks.layers.accuracy import read_result, render


@pytest.mark.parametrize("setting", ["small", "digits"])
def test_the_summary_is_that_of_the_rows(setting):
    recorded, keys = read_result(setting), ("network", "method", "criterion", "removed", "matching")
    found = {}
    for row in recorded["rows"]:
        gain = row["test_accuracy"] - row["dense_accuracy"]
        found.setdefault(tuple(row[key] for key in keys), []).append(gain)
    summary = recorded["summary"]
    assert {tuple(row[key] for key in keys): row["minus_dense"]["values"] for row in summary} == found


def test_a_table_has_differences_verdicts_and_the_published_figures():
    lines = render(read_result("small")).splitlines()
    assert lines[1] == "dense resnet32: 47.32 ± 2.57 %"
    row = "| resnet56 | layer | snip | 12 | 3 | 1.04 ± 2.52 | undecided | 45.03 | 3+4+5; 1+5+6; 3+5+4 |"
    assert row in lines
    assert "| layer | 1 | +0.08 | -0.06 ± 1.83 | +0.40 | -0.64 ± 1.15 |" in lines
