"""Nodes of the report of a sweep."""

from datetime import datetime
from typing import Any

from lottery_pipeline.options.sweep_report import SweepReportOptions
from lottery_pipeline.pipelines.reporting.provenance import find_command, find_commit, list_versions
from lottery_pipeline.tracking import current


def tabulate_points(sweep_points: dict[str, Any]) -> Any:
    """Put the results of all finished points into one tidy table."""
    from lottery_pipeline.reporting.sweeps import rows

    return rows.tabulate_points(sweep_points["points"])


def summarise_cells(rows: Any, sweep_report: SweepReportOptions) -> Any:
    """Summarise over seeds what differs in nothing else."""
    from lottery_pipeline.reporting.sweeps import cells

    return cells.summarise_cells(rows, margin=sweep_report.margin)


def tabulate_differences(rows: Any) -> Any:
    """Compare methods, and values of the other axes, paired by seed."""
    from lottery_pipeline.reporting.sweeps.differences import compare_cells

    return compare_cells(rows)


def draw_figures(cells: Any) -> tuple[Any, Any, Any]:
    """Draw accuracy against density and cost, and the Pareto fronts."""
    from lottery_pipeline.reporting.sweeps.cost_figure import draw_cost
    from lottery_pipeline.reporting.sweeps.density_figure import draw_density
    from lottery_pipeline.reporting.sweeps.front_figure import draw_fronts

    return draw_density(cells), draw_cost(cells), draw_fronts(cells)


def write_report(
    sweep_points: dict[str, Any],
    rows: Any,  # noqa: ARG001 (drawn inside)
    cells: Any,
    differences: Any,
    sweep_report: SweepReportOptions,
    **figures: Any,
) -> str:
    """Write the report of a sweep as one self-contained page."""
    from lottery_pipeline.reporting.sweeps.page import render_sweep

    plan = sweep_points["plan"]
    options = "" if plan["experiment"] == "base" else f" --env {plan['experiment']}"
    command = f"kedro run{options} --pipelines sweep_report --params variant={plan['sweep']}"
    return render_sweep(
        plan,
        sweep_points["points"],
        cells,
        differences,
        figures,
        margin=sweep_report.margin,
        context={
            "command": find_command() or command,
            "commit": find_commit(),
            "created": datetime.now().astimezone().isoformat(sep=" ", timespec="minutes"),
            "tracked": current().page,
            "run": current().identity,
            "parameters": {"sweep_report": sweep_report.model_dump(mode="json")},
            "versions": list_versions(),
        },
    )
