"""The report of the study of layer tickets: its rows put together, judged and laid out."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmarks.environment import describe_environment
from benchmarks.layer_settings import MARGIN, PUBLISHED_FILTER, PUBLISHED_LAYER, SETTINGS
from lottery_pipeline.intervals import t_interval

KEY = ("network", "method", "criterion", "removed", "matching")
LEVEL = 0.025  # of a one-sided test, the same as a bound of the 95 % interval


def gather(name: str, work: Path) -> dict[str, Any]:
    """Put all rows of a setting together, and summarise them over seeds; ``work`` is where they lie."""
    setting = SETTINGS[name]
    rows = [json.loads(path.read_text()) for path in sorted(work.glob("seed*/*/*_*.json"))]
    dense = [json.loads(path.read_text()) for path in sorted(work.glob("seed*/*/dense.json"))]
    accuracies: dict[str, list[float]] = {}
    for run in dense:
        accuracies.setdefault(run["network"], []).append(run["test_accuracy"])
    return {
        "setting": name,
        "note": setting.note,
        "environment": describe_environment(),
        "images": setting.images,
        "recipe": setting.recipe.record(),
        "margin": MARGIN,
        "dense_accuracy": {network: summarise(values) for network, values in accuracies.items()},
        "dense": dense,
        "summary": list(summarise_rows([row for row in rows if "refused" not in row])),
        "refused": [row for row in rows if "refused" in row],
        "rows": rows,
    }


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


# Markdown ---------------------------------------------------------------------------------------------------


def render(result: dict[str, Any]) -> str:
    """Lay the result out: accuracies in percent, differences in points."""
    recipe = result["recipe"]
    lines = [
        f"{result['setting']}: {result['note']} ({recipe['epochs']} epochs, {recipe['precision']})",
        *(f"dense {network}: {show(value)} %" for network, value in result["dense_accuracy"].items()),
        f"winning: all of the 95 % t-interval over seeds is above {-100 * MARGIN:g} points",
        "winning*: still so after Holm's correction over the criteria and p of the network and method",
        "",
        *table("network | method | criterion | p | n | minus dense | verdict | MACs saved % | blocks gone"),
    ]
    for row in result["summary"]:
        method = row["method"] if row["matching"] is None else f"{row['method']}, equal {row['matching']}"
        corrected = row["p_value_holm"]
        star = "*" if row["verdict"] == "winning" and corrected is not None and corrected < LEVEL else ""
        stages = "; ".join("+".join(map(str, stage.values())) for stage in name_stages(row))
        cells = (
            f"{row['network']} | {method} | {row['criterion']} | {row['removed']} | {len(row['seeds'])}",
            f"{show(row['minus_dense'])} | {row['verdict']}{star} | {100 * row['macs_saved']:.2f} | {stages}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += [f"refused: {name_row(row)}: {row['refused']}" for row in result["refused"]]
    return "\n".join([*lines, "", *compare_with_published(result["summary"])])


def compare_with_published(summary: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield Tables 2 and 3 of arXiv 2301.10835 beside what was measured here, in points."""
    own = {
        (row["method"], row["criterion"], row["removed"]): show(row["minus_dense"])
        for row in summary
        if row["network"] == "resnet32" and row["matching"] in (None, "filters")
    }
    yield "ResNet-32 minus dense, points; published: CIFAR-10 of 32x32 pixels, schedule and seeds not stated"
    columns = [f"{name} {source}" for name in PUBLISHED_LAYER for source in ("published", "here")]
    yield from table(f"ticket | p | {' | '.join(columns)}")
    for method, published in (("layer", PUBLISHED_LAYER), ("filter", PUBLISHED_FILTER)):
        for removed in published["snip"]:
            cells = [
                f"{values[removed]:+.2f} | {own.get((method, criterion, removed), '')}"
                for criterion, values in published.items()
            ]
            yield f"| {method} | {removed} | {' | '.join(cells)} |"


def table(columns: str) -> list[str]:
    """Return the head of a table."""
    return [f"| {columns} |", "|---" * (columns.count(" | ") + 1) + "|"]


def name_stages(row: dict[str, Any]) -> list[dict[str, int]]:
    """Return the blocks removed by stage for each seed, zeros included; nothing for filter tickets."""
    stages = ("layer1", "layer2", "layer3")
    return [{stage: seed.get(stage, 0) for stage in stages} for seed in row["blocks_by_stage"] if seed]


def name_row(row: dict[str, Any]) -> str:
    """Return what a row is known by."""
    return " ".join(str(row[name]) for name in (*KEY, "seed") if row[name] is not None)


def show(summary: dict[str, Any]) -> str:
    """Write mean and half-width in hundredths."""
    half = "" if summary["low"] is None else f" ± {50 * (summary['high'] - summary['low']):.2f}"
    return f"{100 * summary['mean']:.2f}{half}"
