"""Statistics of the study of layer tickets: differences to dense parents and to controls, verdicts."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import fmean, stdev
from typing import Any

from benchmarks.layers.settings import MARGIN
from lottery_pipeline.statistics.intervals import t_interval

KEY = ("network", "method", "criterion", "removed", "matching")
PAIR = ("network", "criterion", "removed", "seed")
VERSUS = ("network", "method", "criterion", "matching")


def summarise_rows(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a row per network, method, criterion, p and matching: the difference to the dense parent.

    Winning: the 95 % t-interval over seeds lies above -xi; losing: below; else undecided. ``p_value`` is of
    the one-sided t-test that the loss is xi or more, ``p_value_holm`` the same corrected for all criteria,
    p and matchings of the network and method (Holm 1979); both None for one seed.
    """
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: [row[name] or "" for name in KEY]):
        groups.setdefault(tuple(row[name] for name in KEY), []).append(row)
    summaries = [summarise_group(dict(zip(KEY, key, strict=True)), group) for key, group in groups.items()]
    for summary in summaries:
        family = [other for other in summaries if all(other[name] == summary[name] for name in KEY[:2])]
        tested = [other["p_value"] for other in family if other["p_value"] is not None]
        own = summary["p_value"]
        yield summary | {"p_value_holm": None if own is None else holm(tested)[tested.index(own)]}


def summarise_group(key: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Summarise what differs by the seed alone."""
    differences = [row["test_accuracy"] - row["dense_accuracy"] for row in rows]
    saved = [1 - row["macs_executed"] / row["macs_dense"] for row in rows]
    stages = [Counter(name.split(".")[-2] for name in row["removed_blocks"]) for row in rows]
    return {
        **key,
        "seeds": [row["seed"] for row in rows],
        "minus_dense": summarise(differences),
        "verdict": judge(differences),
        "p_value": non_inferiority(differences),
        "macs_saved": fmean(saved),
        "seconds": fmean(row["search_seconds"] + row["train_seconds"] for row in rows),
        "blocks_by_stage": [dict(sorted(stage.items())) for stage in stages],
    }


def contrast_rows(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield layer ticket minus shallow network, and minus filter ticket, by network, criterion and matching.

    Pairs have seed, criterion and p in common. Differences are averaged within a seed over the p that all
    seeds have, because seeds are the unit of the statistics. The noise of the dense parent is not in them.
    """
    layers = {tuple(row[name] for name in PAIR): row for row in rows if row["method"] == "layer"}
    groups: dict[tuple[str, ...], dict[int, dict[int, float]]] = {}
    for row in sorted(rows, key=lambda row: [row[name] or "" for name in KEY]):
        other = layers.get(tuple(row[name] for name in PAIR))
        if row["method"] == "layer" or other is None:
            continue
        group = groups.setdefault(tuple(row[name] for name in VERSUS), {})
        gain = other["test_accuracy"] - row["test_accuracy"]
        group.setdefault(row["seed"], {})[row["removed"]] = gain
    for key, by_seed in groups.items():
        common = sorted(set.intersection(*(set(gains) for gains in by_seed.values())))
        if common:
            means = [fmean(gains[removed] for removed in common) for _, gains in sorted(by_seed.items())]
            yield {
                **dict(zip(VERSUS, key, strict=True)),
                "seeds": sorted(by_seed),
                "removed": common,
                "layer_minus_other": summarise(means),
            }


def summarise(values: list[float]) -> dict[str, Any]:
    """Return mean, bounds of the 95 % t-interval (None for one seed) and the values."""
    interval = t_interval(values)
    return {"mean": interval.mean, "low": interval.low, "high": interval.high, "values": values}


def judge(differences: Sequence[float]) -> str:
    """Say whether tickets lose less than xi against their dense parents."""
    interval = t_interval(differences)
    if interval.low is None or interval.high is None:
        return "undecided"
    if interval.low > -MARGIN:
        return "winning"
    return "losing" if interval.high < -MARGIN else "undecided"


def non_inferiority(differences: Sequence[float]) -> float | None:
    """Return the p-value of the one-sided t-test of a mean difference of -xi or less; None for one seed."""
    from scipy.stats import t

    n, gain = len(differences), fmean(differences) + MARGIN
    if n == 1:
        return None
    error = stdev(differences) / math.sqrt(n)
    return float(t.sf(gain / error, n - 1)) if error else float(gain <= 0)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, in the same order (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected
