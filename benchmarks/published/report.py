"""The report of the published study: means over seeds beside the published figures, and ratios of costs."""

import math
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.environment import describe_environment
from benchmarks.published.plan import LADDERS
from benchmarks.published.settings import Setting
from benchmarks.published.store import find_rows
from benchmarks.summaries import show, summarise

# Test accuracy in percent of ResNet-20 on CIFAR-10. At rung 22: the abstract of arXiv 2512.07142.
ABSTRACT = {("cts_kl", 22): 74.0, ("ltr", 22): 68.3}
ABSTRACT_MINUTES = {"cts_kl": 7.9, "ltr": 95.2}
ABSTRACT_RATIO = 12.05
# Means of three runs in the authors' repository (tanayarora09/TLAB), rewound to epoch 9; CTS with the task
# loss searches twice as long there. Of CTS with the reverse KL divergence it has none.
REPOSITORY: dict[str, dict[int, float]] = {
    "ltr": {6: 92.47, 14: 89.12, 18: 83.50, 22: 68.38, 26: 55.66},
    "cts_l": {6: 90.07, 14: 84.86, 18: 80.62, 22: 72.19, 26: 57.08},
    "snip": {6: 90.40, 14: 83.41, 18: 72.70, 22: 62.59, 26: 40.90},
    "grasp": {6: 89.81, 14: 82.48, 18: 71.70, 22: 53.47, 26: 32.18},
}
UNITS = ("epochs", "seconds")


def gather(name: str, setting: Setting, folder: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """Put the rows of a folder together, and summarise them over seeds."""
    rows = sorted(find_rows(folder), key=lambda row: (row["rung"], row["method"], row["seed"]))
    good = [row for row in rows if "test_accuracy" in row]
    summary = [
        summarise_rows(method, rung, list(group))
        for (rung, method), group in groupby(good, key=lambda row: (row["rung"], row["method"]))
    ]
    ratios = [compare_costs(good, ladder, rung) for rung in setting.rungs for ladder in LADDERS]
    return {
        "setting": name,
        "environment": describe_environment(),
        **identity,
        "summary": summary,
        "cost_ratios": [ratio for ratio in ratios if ratio is not None],
        "rows": rows,
    }


def summarise_rows(method: str, rung: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Summarise the rows of a method at one rung over their seeds; costs are means."""
    costs = {unit: sum(count_cost(row, unit) for row in rows) / len(rows) for unit in UNITS}
    return {
        "method": method,
        "rung": rung,
        "density": rows[0]["density"],
        "test_accuracy": summarise([row["test_accuracy"] for row in rows]),
        **costs,
    }


def count_cost(row: dict[str, Any], unit: str) -> float:
    """Return what a row cost from the images on: to theta_k, search, and the training of the ticket."""
    source = row if unit == "epochs" else row["measured"]
    return float(sum(source[f"{part}_{unit}"] for part in ("rewind", "search", "train")))


def compare_costs(rows: list[dict[str, Any]], ladder: str, rung: int) -> dict[str, Any] | None:
    """Compare a ladder with CTS-KL at a rung: cost and accuracy, pairs of one seed; None without pairs."""
    both = {
        method: {row["seed"]: row for row in rows if (row["method"], row["rung"]) == (method, rung)}
        for method in ("cts_kl", ladder)
    }
    pairs = [(both[ladder][seed], row) for seed, row in both["cts_kl"].items() if seed in both[ladder]]
    if not pairs:
        return None
    ratios = {unit: [count_cost(one, unit) / count_cost(two, unit) for one, two in pairs] for unit in UNITS}
    gains = [two["test_accuracy"] - one["test_accuracy"] for one, two in pairs]
    means = {unit: math.exp(sum(map(math.log, values)) / len(values)) for unit, values in ratios.items()}
    known = {"ladder": ladder, "rung": rung, "seeds": len(pairs)}
    return {**known, **means, "cts_kl_minus_ladder": summarise(gains)}


def render(result: dict[str, Any]) -> str:
    """Lay the result out as Markdown: accuracies in percent, differences in points."""
    columns = ("density %", "method", "seeds", "accuracy", "abstract", "repository", "epochs", "minutes")
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for row in result["summary"]:
        method, rung = row["method"], row["rung"]
        figures = (ABSTRACT.get((method, rung)), REPOSITORY.get(method, {}).get(rung))
        cells = (
            f"{100 * row['density']:.3f}",
            method,
            str(len(row["test_accuracy"]["values"])),
            show(row["test_accuracy"]),
            *("" if figure is None else f"{figure:.2f}" for figure in figures),
            f"{row['epochs']:.0f}",
            f"{row['seconds'] / 60:.1f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        f"At rung 22 the abstract has minutes, too: {ABSTRACT_MINUTES}, a ratio of {ABSTRACT_RATIO}.",
    ]
    lines += [
        f"Rung {ratio['rung']}, {ratio['seeds']} seeds: {ratio['ladder']} costs {ratio['epochs']:.2f} times "
        f"the epochs and {ratio['seconds']:.2f} times the seconds of cts_kl, which is ahead by "
        f"{show(ratio['cts_kl_minus_ladder'])} points."
        for ratio in result["cost_ratios"]
    ]
    if any(row["measured"]["at_once"] > 1 for row in result["rows"]):
        lines.append("Some rows were trained several at once: their seconds, and ratios of them, are shared.")
    diverged = [row for row in result["rows"] if "diverged" in row]
    lines += [f"{row['method']} at rung {row['rung']}, seed {row['seed']}: diverged." for row in diverged]
    return "\n".join(lines)
