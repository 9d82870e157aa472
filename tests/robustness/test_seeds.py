"""Evaluations over seeds."""

import pytest

from lottery_pipeline.robustness.seeds import COLUMNS, summarise_seeds


def row(method: str, seed: int, value: float | None, metric: str = "accuracy", family: str = "clean"):
    return {
        "method": method,
        "seed": seed,
        "family": family,
        "setting": "clean",
        "metric": metric,
        "value": value,
    }


REFERENCES = {"dense": "dense", "ltr": "dense"}


def test_a_difference_is_paired_by_seed() -> None:
    rows = [row("dense", 0, 0.9), row("dense", 1, 0.5), row("ltr", 0, 0.8), row("ltr", 1, 0.4)]
    dense, ltr = summarise_seeds(rows, REFERENCES)
    assert tuple(ltr) == COLUMNS
    assert ltr["value"] == pytest.approx(0.6)
    assert ltr["difference"] == pytest.approx(-0.1)
    assert ltr["difference_low"] == pytest.approx(-0.1), "both seeds lose the same"
    assert ltr["low"] < 0, "two seeds that far apart say little about the mean"
    assert dense["difference"] is None


def test_one_seed_has_no_interval() -> None:
    (only,) = summarise_seeds([row("dense", 3, 0.9)], REFERENCES)
    assert (only["seeds"], only["low"], only["high"]) == (1, None, None)


def test_rows_without_a_value_and_comparisons_of_images_are_passed_over() -> None:
    rows = [row("dense", 0, None), row("ltr", 0, 0.1, metric="difference", family="comparison")]
    assert summarise_seeds(rows, REFERENCES) == []


def test_a_seed_without_its_dense_network_is_not_compared() -> None:
    rows = [row("dense", 0, 0.9), row("ltr", 0, 0.8), row("ltr", 1, 0.1)]
    _, ltr = summarise_seeds(rows, REFERENCES)
    assert ltr["difference"] == pytest.approx(-0.1)
