"""The report of the study of layer tickets: its rows put together and laid out."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.environment import describe_environment
from benchmarks.layers.settings import MARGIN, PUBLISHED_FILTER, PUBLISHED_LAYER, SETTINGS
from benchmarks.layers.statistics import KEY, contrast_rows, summarise, summarise_rows

LEVEL = 0.025  # of a one-sided test, the same as a bound of the 95 % interval


def gather(name: str, work: Path) -> dict[str, Any]:
    """Put all rows of a setting together, and summarise them over seeds; ``work`` is where they lie."""
    setting = SETTINGS[name]
    rows = [json.loads(path.read_text()) for path in sorted(work.glob("seed*/*/*_*.json"))]
    trained = [row for row in rows if "refused" not in row]
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
        "summary": list(summarise_rows(trained)),
        "contrasts": list(contrast_rows(trained)),
        "refused": [row for row in rows if "refused" in row],
        "rows": rows,
    }


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
        corrected = row["p_value_holm"]
        star = "*" if row["verdict"] == "winning" and corrected is not None and corrected < LEVEL else ""
        stages = "; ".join("+".join(map(str, stage.values())) for stage in name_stages(row))
        cells = (
            f"{row['network']} | {name_method(row)} | {row['criterion']} | {row['removed']}",
            f"{len(row['seeds'])} | {show(row['minus_dense'])} | {row['verdict']}{star}",
            f"{100 * row['macs_saved']:.2f} | {stages}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += [f"refused: {name_row(row)}: {row['refused']}" for row in result["refused"]]
    lines += ["", *table("network | criterion | layer ticket minus | p | n | points, averaged over p")]
    for row in result["contrasts"]:
        removed = ", ".join(map(str, row["removed"]))
        cells = (
            f"{row['network']} | {row['criterion']} | {name_method(row)} | {removed}",
            f"{len(row['seeds'])} | {show(row['layer_minus_other'])}",
        )
        lines.append(f"| {' | '.join(cells)} |")
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


def name_method(row: dict[str, Any]) -> str:
    """Return the method, with what filters are matched by."""
    return row["method"] if row["matching"] is None else f"{row['method']}, equal {row['matching']}"


def name_row(row: dict[str, Any]) -> str:
    """Return what a row is known by."""
    return " ".join(str(row[name]) for name in (*KEY, "seed") if row[name] is not None)


def show(summary: dict[str, Any]) -> str:
    """Write mean and half-width in hundredths."""
    half = "" if summary["low"] is None else f" ± {50 * (summary['high'] - summary['low']):.2f}"
    return f"{100 * summary['mean']:.2f}{half}"
