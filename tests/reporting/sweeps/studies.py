"""Cells and differences of made-up sweeps, for tests of what is drawn and written."""

from typing import Any

from lottery_pipeline.reporting.sweeps.cells import summarise_cells
from lottery_pipeline.reporting.sweeps.columns import FIGURE_TEXTS
from lottery_pipeline.reporting.sweeps.cost_figure import draw_cost
from lottery_pipeline.reporting.sweeps.density_figure import draw_density
from lottery_pipeline.reporting.sweeps.differences import compare_cells
from lottery_pipeline.reporting.sweeps.findings import find_findings
from lottery_pipeline.reporting.sweeps.front_figure import draw_fronts
from lottery_pipeline.reporting.sweeps.page import render_sweep
from lottery_pipeline.reporting.sweeps.rows import tabulate_points
from tests.sweep_files import make_plan, make_point, make_row, make_study, make_sweep


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


DONE = {"done": 3, "failed": 0, "running": 0, "missing": 0, "stale": 0, "damaged": 0}
CONTEXT = {
    "command": "kedro run --pipelines sweep_report",
    "commit": "",
    "created": "2026-01-31 12:00+00:00",
    "tracked": "",
    "run": "",
    "parameters": {"sweep_report": {"margin": 0.01}},
    "versions": {"python": "3.11"},
}


def render_study(points: Any, files: Any, **plan: Any) -> str:
    """The page of a sweep; ``plan`` is what its plan says."""
    read = make_sweep(points, files)["points"]
    rows = tabulate_points(read)
    cells = summarise_cells(rows)
    figures = dict(
        zip(FIGURE_TEXTS, (draw(cells) for draw in (draw_density, draw_cost, draw_fronts)), strict=True)
    )
    known = make_plan([])["plan"] | plan
    return render_sweep(known, read, cells, compare_cells(rows), figures, margin=0.01, context=CONTEXT)


def find(found: Any, states: Any = DONE, margin: float = 0.01) -> Any:
    """The findings of cells and differences."""
    return find_findings(*found, states, margin=margin)


def read(findings: Any) -> list[str]:
    """The sentences below the headline."""
    return [finding.text for finding in findings.sentences]


def find_traces(figure: Any, name: str) -> tuple[list[Any], list[Any]]:
    """The traces of a name, bands apart."""
    own = [trace for trace in figure.data if trace.name == name]
    return [trace for trace in own if trace.fill == "toself"], [
        trace for trace in own if trace.fill != "toself"
    ]
