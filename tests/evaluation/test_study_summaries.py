"""Summaries over seeds, on cases that can be worked out by hand."""

import pytest

from lottery_pipeline.evaluation.study_summaries import (
    ARM_COLUMNS,
    TRANSFER_COLUMNS,
    summarise_arms,
    summarise_transfer,
)

SIZES = {
    "kept": 100,
    "prunable": 1000,
    "density": 0.1,
    "macs_theoretical": 10,
    "macs_executed": 50,
    "macs_dense": 90,
    "parameters": 500,
    "seconds": 2.0,
}
T_2 = 4.302652729911275  # 97.5 % point of Student's t with two degrees of freedom


def make_arm(arm, seed, found, retrained=None, **changes):
    return {
        "arm": arm,
        "seed": seed,
        "metric": "mIoU",
        "found_accuracy": found,
        "retrained_accuracy": retrained,
        "search_epochs": 6.0,
        "epochs": 6.0 if retrained is None else 10.0,
        **SIZES,
        **changes,
    }


def make_move(source, target, arm, seed, accuracy, early=0.5):
    return {
        "source": source,
        "target": target,
        "arm": arm,
        "seed": seed,
        "metric": "PCK",
        "accuracy": accuracy,
        "early_loss": early,
        "epochs": 4.0,
        **SIZES,
    }


ARMS = [
    *(make_arm("zero", seed, found, 0.9) for seed, found in enumerate((0.5, 0.6, 0.7))),
    *(make_arm("two_in_one", seed, found, 0.8) for seed, found in enumerate((0.4, 0.4, 0.4))),
    *(make_arm("two_in_one_long", seed, 0.85, search_epochs=10.0) for seed in range(3)),
    *(make_arm("dense", seed, 0.95, kept=1000, density=1.0) for seed in range(3)),
]


def find(summary, **wanted):
    (line,) = [line for line in summary if all(line[key] == value for key, value in wanted.items())]
    return line


def test_lines_come_in_the_order_of_the_table_and_have_all_columns():
    summary = summarise_arms(ARMS)
    assert [(line["arm"], line["state"]) for line in summary] == [
        ("dense", "found"),
        ("two_in_one", "found"),
        ("two_in_one", "retrained"),
        ("zero", "found"),
        ("zero", "retrained"),
        ("two_in_one_long", "found"),
    ]
    assert {tuple(line) for line in summary} == {ARM_COLUMNS}


def test_means_have_the_t_interval_of_their_seeds_and_differences_that_of_pairs():
    line = find(summarise_arms(ARMS), arm="zero", state="found")
    half = T_2 * 0.1 / 3**0.5
    assert (line["seeds"], line["epochs"], line["kept"]) == (3, 6.0, 100)
    assert [line[key] for key in ("accuracy", "low", "high")] == pytest.approx([0.6, 0.6 - half, 0.6 + half])
    found = [line[key] for key in ("difference", "difference_low", "difference_high")]
    assert found == pytest.approx([0.2, 0.2 - half, 0.2 + half])


def test_what_is_compared_has_been_trained_for_as_many_epochs():
    summary = summarise_arms(ARMS)
    assert find(summary, arm="zero", state="retrained")["difference"] == pytest.approx(0.1)
    assert find(summary, arm="zero", state="retrained")["epochs"] == 10.0
    assert find(summary, arm="two_in_one_long")["difference"] == pytest.approx(0.05)  # against 0.8, not 0.4
    assert find(summary, arm="dense")["difference"] == pytest.approx(0.55)
    for state in ("found", "retrained"):
        assert find(summary, arm="two_in_one", state=state)["difference"] is None


def test_only_seeds_that_both_have_are_compared():
    rows = [*ARMS[:2], *(row for row in ARMS if row["arm"] == "two_in_one" and row["seed"] > 0)]
    line = find(summarise_arms(rows), arm="zero", state="found")
    assert (line["difference"], line["difference_low"]) == (pytest.approx(0.2), None)
    assert line["accuracy"] == pytest.approx(0.55)
    alone = summarise_arms([make_arm("two_in_one_long", 0, 0.9), make_arm("two_in_one", 0, 0.8)])
    assert find(alone, arm="two_in_one_long")["difference"] is None


def test_nothing_is_the_summary_of_nothing():
    assert summarise_arms([]) == summarise_transfer([]) == []


MOVES = [
    row
    for seed, shift in enumerate((0.0, 0.1, 0.2))
    for row in (
        make_move("a", "a", "supernet", seed, 0.9),
        make_move("a", "a", "direct", seed, 0.8),
        make_move("a", "b", "transferred", seed, 0.5 + shift, early=0.2),
        make_move("a", "b", "dense", seed, 0.4, early=0.3 + shift),
        make_move("b", "b", "direct", seed, 0.6 + shift, early=0.1),
    )
]


def test_a_pair_has_the_moved_ticket_its_controls_and_the_ticket_found_for_the_target():
    summary = summarise_transfer(MOVES)
    assert [(line["source"], line["target"], line["arm"]) for line in summary] == [
        ("a", "a", "supernet"),
        ("a", "a", "direct"),
        ("a", "b", "transferred"),
        ("a", "b", "dense"),
        ("a", "b", "direct"),
        ("b", "b", "direct"),
    ]
    assert {tuple(line) for line in summary} == {TRANSFER_COLUMNS}


def test_an_arm_is_compared_with_the_moved_ticket_of_its_seed():
    summary = summarise_transfer(MOVES)
    dense = find(summary, source="a", target="b", arm="dense")
    half = T_2 * 0.1 / 3**0.5
    assert dense["difference"] == pytest.approx(-0.2)
    assert dense["difference_low"] == pytest.approx(-0.2 - half)
    assert dense["early_difference"] == pytest.approx(0.2)
    assert dense["early_difference_high"] == pytest.approx(0.2 + half)
    direct = find(summary, source="a", target="b", arm="direct")
    assert (direct["difference"], direct["difference_low"]) == (pytest.approx(0.1), pytest.approx(0.1))
    assert direct["early_difference"] == pytest.approx(-0.1)


def test_the_moved_ticket_and_the_diagonal_are_compared_with_nothing():
    summary = summarise_transfer(MOVES)
    for wanted in ({"arm": "transferred"}, {"target": "a", "arm": "direct"}, {"arm": "supernet"}):
        line = find(summary, **wanted)
        assert line["difference"] is line["early_difference"] is None
    assert find(summary, arm="transferred")["accuracy"] == pytest.approx(0.6)
