"""The report of the study of CTS against rewinding: its rows put together, summarised, laid out."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.cts.rows import LADDERS
from benchmarks.cts.settings import SETTINGS
from benchmarks.environment import describe_environment
from lottery_pipeline.statistics.intervals import t_interval

GAPS = ("dead_layers", "unconnected_classes")  # rows of before lack them


def gather(name: str, work: Path) -> dict[str, Any]:
    """Put all rows of a setting together, and summarise them over seeds; ``work`` is where they lie."""
    setting = SETTINGS[name]
    folders = sorted(path.parent for path in (work / name).glob("seed*/dense.json"))
    rows = [json.loads(path.read_text()) for folder in folders for path in sorted(folder.glob("*_*.json"))]
    dense = [json.loads((folder / "dense.json").read_text()) for folder in folders]
    gains = [
        run["test_accuracy_twice_the_epochs"] - run["test_accuracy"]
        for run in dense
        if "test_accuracy_twice_the_epochs" in run
    ]
    return {
        "setting": name,
        "note": setting.note,
        "environment": describe_environment(),
        "images": setting.images,
        "recipe": setting.recipe.record(),
        "rewind_epoch": setting.rewind_epoch,
        "search_length": setting.length,
        "seeds": [run["seed"] for run in dense],
        "dense_accuracy": summarise([run["test_accuracy"] for run in dense]),
        **({"gain_of_twice_the_epochs": summarise(gains)} if gains else {}),
        "dense": dense,
        "summary": list(summarise_rows(rows)),
        "rows": rows,
    }


def summarise_rows(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a row per method, start and rung: accuracy, difference to the ladder, ratio of costs."""
    groups: dict[tuple[str, str, int], dict[int, dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["method"], row["start"], row["rung"]), {})[row["seed"]] = row
    for (method, start, rung), by_seed in sorted(groups.items(), key=lambda item: (item[0][1:], item[0][0])):
        ladder = groups.get((LADDERS[start], start, rung), {})
        pairs = [(row, ladder[seed]) for seed, row in by_seed.items() if seed in ladder]
        summary = {
            "method": method,
            "start": start,
            "rung": rung,
            "density": next(iter(by_seed.values()))["density"],
            "test_accuracy": summarise([row["test_accuracy"] for row in by_seed.values()]),
            **{
                gap: mean(row[gap] for row in by_seed.values())
                for gap in GAPS
                if all(gap in row for row in by_seed.values())
            },
        }
        if pairs and method != LADDERS[start]:
            gains = [row["test_accuracy"] - other["test_accuracy"] for row, other in pairs]
            summary["minus_ladder"] = summarise(gains)
            for unit in ("epochs", "seconds"):
                ratios = [cost(other, unit) / cost(row, unit) for row, other in pairs]
                summary[f"ladder_cost_ratio_{unit}"] = math.exp(sum(map(math.log, ratios)) / len(ratios))
        yield summary


def cost(row: dict[str, Any], unit: str) -> float:
    """Return search and training together, beyond the start point."""
    return row[f"search_{unit}"] + row[f"train_{unit}"]


def summarise(values: list[float]) -> dict[str, Any]:
    """Return mean, bounds of the 95 % t-interval (None for one seed) and the values."""
    interval = t_interval(values)
    return {"mean": interval.mean, "low": interval.low, "high": interval.high, "values": values}


def render(result: dict[str, Any]) -> str:
    """Lay the summary out as Markdown: accuracies in percent, differences in points."""
    lines = [f"{result['setting']}: {result['note']}", f"dense {show(result['dense_accuracy'])} %"]
    if "gain_of_twice_the_epochs" in result:
        gain = show(result["gain_of_twice_the_epochs"])
        lines.append(f"twice the epochs change the dense network by {gain}")
    lines.append("")
    columns = (
        "start",
        "density %",
        "method",
        "accuracy",
        "minus ladder",
        "ladder's cost / its own: epochs, s",
        "dead layers, unconnected classes",
    )
    lines += ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for row in result["summary"]:
        gain = show(row["minus_ladder"]) if "minus_ladder" in row else ""
        ratios = [row.get(f"ladder_cost_ratio_{unit}") for unit in ("epochs", "seconds")]
        costs = ", ".join(f"{ratio:.1f}" for ratio in ratios if ratio is not None)
        gaps = ", ".join(f"{row[gap]:.1f}" for gap in GAPS if gap in row)
        place = f"{row['start']} | {100 * row['density']:.3f} | {row['method']}"
        lines.append(f"| {place} | {show(row['test_accuracy'])} | {gain} | {costs} | {gaps} |")
    return "\n".join(lines)


def show(summary: dict[str, Any]) -> str:
    """Write mean and half-width in hundredths."""
    half = "" if summary["low"] is None else f" ± {50 * (summary['high'] - summary['low']):.2f}"
    return f"{100 * summary['mean']:.2f}{half}"
