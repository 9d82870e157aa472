"""Cells and differences of a sweep, with a loop for everything."""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from scipy.stats import ttest_rel

from lottery_pipeline.statistics.intervals import t_interval

Rows = Sequence[Mapping[str, Any]]


def list_cells(points: Rows) -> dict[tuple[Any, ...], dict[int, list[Mapping[str, Any]]]]:
    """Tickets by experiment, method, axes but for the seed, and seed."""
    cells: dict[tuple[Any, ...], dict[int, list[Mapping[str, Any]]]] = {}
    for point in points:
        for row in point["rows"]:
            if row["kind"] == "ticket":
                axes = tuple(sorted((name, value) for name, value in point["axes"].items() if name != "seed"))
                key = (point["experiment"], row["method"], axes)
                cells.setdefault(key, {}).setdefault(row["seed"], []).append(row)
    return cells


def summarise(by_seed: Mapping[int, Rows], column: str) -> tuple[int, float, float | None, Any, Any]:
    """n, mean, standard deviation and t-interval of a column over seeds."""
    values = [fmean(row[column] for row in rows) for _, rows in sorted(by_seed.items())]
    interval = t_interval(values)
    return len(values), interval.mean, stdev(values) if len(values) > 1 else None, interval.low, interval.high


def compare(first: Mapping[int, Rows], second: Mapping[int, Rows]) -> tuple[int, Any, float | None]:
    """Seeds that both have, the t-interval of the difference, and p of the paired t-test."""
    seeds = sorted(first.keys() & second.keys())
    ours = [fmean(row["test_accuracy"] for row in first[seed]) for seed in seeds]
    theirs = [fmean(row["test_accuracy"] for row in second[seed]) for seed in seeds]
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    p = float(ttest_rel(ours, theirs).pvalue) if len(seeds) > 1 else None
    return len(seeds), t_interval(differences), p
