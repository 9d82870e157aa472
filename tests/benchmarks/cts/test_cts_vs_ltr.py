"""The recorded rows of the study: they stay readable, and the tables are theirs."""

import pytest

from benchmarks.cts.cts_vs_ltr import list_settings, read_result, render

RECORDED = {name: read_result(name) for name in list_settings()}


def find(setting, **wanted):
    (row,) = (row for row in RECORDED[setting]["rows"] if wanted.items() <= row.items())
    return row["test_accuracy"]


def test_the_recorded_random_rows_bear_the_name_of_their_allocation():
    assert find("torch_init_32", method="random", rung=22, seed=0, start="initial") == 0.3932
    assert find("torch_init_32", method="random_uniform", rung=22, seed=0, start="initial") == 0.1523
    assert find("converged", method="random_uniform", rung=22, seed=0, start="initial") == 0.2104


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_row_says_its_method_and_start_and_stands_there_once(name):
    found = [(row["method"], row["start"], row["rung"], row["seed"]) for row in RECORDED[name]["rows"]]
    assert len(set(found)) == len(found)
    assert {start for _, start, _, _ in found} <= {"initial", "rewind"}
    assert not {"random_erk"} & {method for method, *_ in found}


@pytest.mark.parametrize("name", RECORDED)
def test_the_summary_is_that_of_the_rows(name):
    found = {}
    for row in RECORDED[name]["rows"]:
        found.setdefault((row["method"], row["start"], row["rung"]), []).append(row["test_accuracy"])
    summary = RECORDED[name]["summary"]
    keys = ("method", "start", "rung")
    assert {tuple(row[key] for key in keys): row["test_accuracy"]["values"] for row in summary} == found


def test_a_table_has_means_intervals_and_costs():
    lines = render(RECORDED["converged"]).splitlines()
    assert lines[:2] == [
        "converged: 5,000 CIFAR-10 images of 12x12 pixels, no augmentation, 16 epochs",
        "dense 47.00 ± 1.00 %",
    ]
    (line,) = (line for line in lines if line.startswith("| rewind | 0.738 | cts_kl |"))
    assert line == "| rewind | 0.738 | cts_kl | 42.71 ± 1.47 | -4.88 ± 3.13 | 13.4, 14.6 |  |"
