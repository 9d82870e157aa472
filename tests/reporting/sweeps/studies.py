"""Cells and differences of made-up sweeps, for tests of what is drawn and written."""

from typing import Any

from lottery_pipeline.reporting.sweeps.cells import summarise_cells
from lottery_pipeline.reporting.sweeps.differences import compare_cells
from lottery_pipeline.reporting.sweeps.rows import tabulate_points
from tests.sweep_files import make_point, make_row, make_study, make_sweep


def study(**grid: Any) -> tuple[Any, Any]:
    """Cells and differences of a grid."""
    rows = tabulate_points(make_sweep(*make_study(**grid))["points"])
    return summarise_cells(rows), compare_cells(rows)


def measure(scores: dict[str, list[float]], *, density: float = 0.018, **values: Any) -> tuple[Any, Any]:
    """Cells and differences of methods at one density; a score for each seed, of both parts."""
    points, files = [], []
    for method, found in scores.items():
        for seed, score in enumerate(found):
            points.append(make_point(f"{method}-{seed}", pipelines=method, density=density, seed=seed))
            row = {"method": method, "seed": seed, "test_accuracy": score, "validation_accuracy": score}
            files.append({"state": "done", "rows": [make_row(**row | values)]})
    rows = tabulate_points(make_sweep(points, files)["points"])
    return summarise_cells(rows), compare_cells(rows)
