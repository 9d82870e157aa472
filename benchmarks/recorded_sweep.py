"""The results of a sweep in the repository: one file, which reads like the sweep itself.

    python -m benchmarks.recorded_sweep FOLDER FILE    # after `kedro sweep equal_starts --env cts_study`
    python -m benchmarks.recorded_sweep FILE

FOLDER holds the plan: data/07_model_output/cts_study/equal_starts. FILE gets plan, rows and environment, no
paths of the machine, and is printed: cells and paired differences as pipeline `sweep_report` counts them. It
measures nothing itself.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.environment import describe_environment, write_report
from lottery_pipeline.datasets.sweep_points import SweepPointsDataset
from lottery_pipeline.reporting.sweeps.cells import summarise_cells
from lottery_pipeline.reporting.sweeps.differences import compare_cells
from lottery_pipeline.reporting.sweeps.rows import COLUMNS, tabulate_points
from lottery_pipeline.reporting.sweeps.tables import describe_cells, describe_differences

PLACES = ("data.root", "data.download")  # parameters that say where the images were
KEPT = {*COLUMNS, "start", "model", "fingerprint", "dense_fingerprint"}
OF_A_POINT = ("key", "experiment", "pipelines", "axes", "parameters", "fingerprint", "epochs")


def main() -> None:
    """Record a sweep, or print one that has been recorded."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    if options.folder:
        write_report(options.file, gather(options.folder))
    print(render(json.loads(options.file.read_text())))


def gather(folder: Path) -> dict[str, Any]:
    """Put plan and rows of a sweep together."""
    path = folder / "sweep.json"
    found = SweepPointsDataset(filepath=str(path)).load()
    planned = {point["key"]: point for point in json.loads(path.read_text())["points"]}
    done = [point for point in found["points"] if point["state"] == "done"]
    return {
        **{name: found["plan"][name] for name in ("sweep", "experiment", "title")},
        "environment": describe_environment(),
        "unfinished": [point["key"] for point in found["points"] if point["state"] != "done"],
        "points": [describe_point(planned[point["key"]]) for point in done],
        "rows": [
            {"point": point["key"], **{name: value for name, value in row.items() if name in KEPT}}
            for point in done
            for row in point["rows"]
        ],
    }


def describe_point(planned: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the plan says of a point, places aside."""
    known = {name: planned[name] for name in OF_A_POINT}
    return known | {
        "parameters": {name: value for name, value in known["parameters"].items() if name not in PLACES}
    }


def render(result: Mapping[str, Any]) -> str:
    """Lay the sweep out as Markdown: accuracies in percent, differences in points, 95 % t-intervals."""
    rows: dict[str, list[Any]] = {}
    for row in result["rows"]:
        rows.setdefault(row["point"], []).append(row)
    points = [
        {**point, "variant": point["key"], "rows": rows.get(point["key"], [])} for point in result["points"]
    ]
    table = tabulate_points(points)
    lines = [f"{result['sweep']}: {result['title'] or result['experiment']} ({len(points)} points)"]
    if result["unfinished"]:
        lines.append(f"not finished: {len(result['unfinished'])} more")
    return "\n".join([*lines, *list_cells(table), *list_differences(table)])


def list_cells(table: Any) -> Iterator[str]:
    """Yield the lines of the table of cells."""
    yield from ("", *head("density %", "ticket", "setting", "n", "accuracy", "95 %", "minus dense", "epochs"))
    for row in describe_cells(summarise_cells(table)):
        difference = f"{100 * row['difference']:+.2f} {row['difference_interval']}".strip()
        numbers = f"{row['n']} | {100 * row['test_accuracy']:.2f} | {row['interval']} | {difference}"
        place = f"{100 * row['density']:.3f} | {row['label']} | {row['setting']}"
        yield f"| {place} | {numbers} | {row['epochs']:.1f} |"


def list_differences(table: Any) -> Iterator[str]:
    """Yield the lines of the tables of paired differences."""
    for family in describe_differences(compare_cells(table)):
        yield from (
            "",
            *head(family["title"], "density %", "where", "n", "points", "95 %", "p, Holm", "verdict"),
        )
        for row in family["rows"]:
            place = f"{row['names']} | {100 * row['density']:.3f} | {row['where']}"
            numbers = (
                f"{row['n']} | {100 * row['difference']:+.2f} | {row['interval']} | {row['p_holm_text']}"
            )
            yield f"| {place} | {numbers} | {row['words']} |"


def head(*columns: str) -> list[str]:
    """Return the head of a table."""
    return [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]


if __name__ == "__main__":
    main()
