"""What the rewind point does to the order of the methods, from the recorded rows of `converged`.

    python -m benchmarks.cts.rewinds

Reads the rows of `converged`, `rewind_3`, `rewind_5` and `rewind_9` from results/ beside this script. The
settings differ in k alone, so theta_0, the images and the dense training of a seed are the same. Prints
accuracies, differences between methods and differences between rewind points, all at 0.738 % and paired by
seed. `kedro sweep rewind_points --env cts_study` trains the networks of theta_1 and later again.

Found (test accuracy in percent, dense 47.0 ± 1.0): the task loss is above reverse KL by 0.8 ± 0.9 points
from theta_1, level from theta_3 and below by 1.2 ± 0.7 from theta_5, where reverse KL is 1.0 ± 0.4 above
SNIP. `ltr` leads reverse KL by 4.9 ± 3.1 from theta_1, 4.3 ± 1.9 from theta_3, 3.1 ± 2.8 from theta_5 and
2.1 ± 3.0 from theta_9. ERK falls from 39.0 to 32.0.
Machine: 2 cores of an AMD EPYC (AVX-512), one thread, torch 2.14.1.
Runs: seeds 0, 1 and 2.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.summaries import show, summarise

RESULTS = Path(__file__).parent / "results"
RUNG = 22
POINTS = {  # epoch of the start: setting and start of its rows
    0: ("converged", "initial"),
    1: ("converged", "rewind"),
    3: ("rewind_3", "rewind"),
    5: ("rewind_5", "rewind"),
    9: ("rewind_9", "rewind"),
}
METHODS = (
    "ltr",
    "cts_kl",
    "cts_l",
    "snip",
    "grasp",
    "synflow",
    "magnitude",
    "random",
    "random_uniform",
)
PAIRS = (
    ("ltr", "cts_kl"),
    ("ltr", "cts_l"),
    ("cts_l", "cts_kl"),
    ("cts_kl", "snip"),
    ("cts_l", "snip"),
    ("snip", "random"),
    ("cts_kl", "random"),
    ("cts_l", "random"),
)
Rows = dict[str, dict[int, dict[str, Any]]]  # by method and seed


def main() -> None:
    """Print the tables."""
    points = {epoch: read(RESULTS, *point) for epoch, point in POINTS.items()}
    print("\n\n".join([*tabulate(points), list_orders(points)]))


def read(results: Path, setting: str, start: str) -> Rows:
    """Return the recorded rows of a setting from one start; LTH counts as LTR of epoch 0."""
    path = results / f"cts_vs_ltr_{setting}.json"
    found: Rows = {}
    for row in json.loads(path.read_text())["rows"] if path.exists() else []:
        if row["start"] == start and row["rung"] == RUNG:
            name = "ltr" if row["method"] == "lth" else row["method"]
            found.setdefault(name, {})[row["seed"]] = row
    return found


def tabulate(points: dict[int, Rows]) -> Iterator[str]:
    """Yield the tables: a row for each method or pair of methods, a column for each start."""
    for title, cell in (("accuracy, %", accuracy), ("layers, classes without a weight", gaps)):
        yield lay_out(
            title, points, {name: [cell(rows, name) for rows in points.values()] for name in METHODS}
        )
    pairs = {
        f"{one} - {other}": [difference(rows.get(one, {}), rows.get(other, {})) for rows in points.values()]
        for one, other in PAIRS
    }
    yield lay_out("difference of methods, points", points, pairs)
    moved = {
        name: [difference(rows.get(name, {}), points[1].get(name, {})) for rows in points.values()]
        for name in METHODS
    }
    yield lay_out("difference to epoch 1, points", points, moved)


def lay_out(title: str, points: Iterable[int], table: dict[str, list[str]]) -> str:
    """Lay a table out as Markdown."""
    lines = [f"| {title} | " + " | ".join(f"epoch {epoch}" for epoch in points) + " |"]
    lines.append("|---" * lines[0].count(" | ") + "|---|")
    return "\n".join(lines + [f"| {name} | {' | '.join(cells)} |" for name, cells in table.items()])


def accuracy(rows: Rows, name: str) -> str:
    """Show the mean accuracy of a method and its 95 % t-interval."""
    values = [row["test_accuracy"] for row in rows.get(name, {}).values()]
    return show(summarise(values)) if values else ""


def gaps(rows: Rows, name: str) -> str:
    """Show the layers and the classes without a weight, means over the seeds, where they were counted."""
    counted = [row for row in rows.get(name, {}).values() if "dead_layers" in row]
    names = ("dead_layers", "unconnected_classes")
    return ", ".join(f"{fmean(row[gap] for row in counted):.1f}" for gap in names) if counted else ""


def difference(ones: dict[int, Any], others: dict[int, Any]) -> str:
    """Show the mean difference of the seeds that both have, and its 95 % t-interval."""
    values = [ones[seed]["test_accuracy"] - others[seed]["test_accuracy"] for seed in ones if seed in others]
    return show(summarise(values)) if values else ""


def list_orders(points: dict[int, Rows]) -> str:
    """List the methods of every start from the highest mean accuracy to the lowest."""
    lines = []
    for epoch, rows in points.items():
        means = {
            name: fmean(row["test_accuracy"] for row in rows[name].values())
            for name in METHODS
            if name in rows
        }
        order = sorted(means, key=means.__getitem__, reverse=True)
        lines.append(f"epoch {epoch}: " + ", ".join(f"{name} {100 * means[name]:.1f}" for name in order))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
