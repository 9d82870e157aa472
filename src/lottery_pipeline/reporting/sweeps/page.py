"""The page of a sweep."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from lottery_pipeline.options import METHODS
from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.captions import describe_figures
from lottery_pipeline.reporting.columns import explain_columns
from lottery_pipeline.reporting.metric import ACCURACY, put_metric
from lottery_pipeline.reporting.page import render_page
from lottery_pipeline.reporting.page_scripts import list_scripts
from lottery_pipeline.reporting.report import flatten
from lottery_pipeline.reporting.sweeps.columns import FIGURE_TEXTS, TABLES, WORDS
from lottery_pipeline.reporting.sweeps.findings import find_findings
from lottery_pipeline.reporting.sweeps.tables import (
    MOST_ROWS,
    describe_cells,
    describe_differences,
    describe_front,
    describe_unfinished,
)

STATES = ("done", "failed", "running", "missing", "stale", "damaged")


def render_sweep(
    plan: Mapping[str, Any],
    points: Sequence[Mapping[str, Any]],
    cells: pd.DataFrame,
    differences: pd.DataFrame,
    figures: Mapping[str, go.Figure],
    *,
    margin: float,
    context: Mapping[str, Any],
) -> str:
    """Write the page of a sweep as one self-contained html file.

    Args:
        plan: ``sweep``, ``experiment`` and ``title``.
        points: with their ``state``, ``attempts``, ``seconds`` and ``error``.
        cells: as ``summarise_cells`` makes them.
        differences: as ``compare_cells`` makes them.
        figures: by name, as in ``FIGURE_TEXTS``.
        margin: xi of the verdicts.
        context: ``command``, ``commit``, ``created``, ``tracked``, ``run``, ``parameters`` and ``versions``,
            as ``render_report`` takes them.
    """
    counts = Counter(str(point["state"]) for point in points)
    states = {state: counts[state] for state in STATES}
    metric = _name_metric(cells)
    drawn = describe_figures(figures, metric, FIGURE_TEXTS) if len(cells) else []
    rows, fronts, families = describe_cells(cells), describe_front(cells), describe_differences(differences)
    unfinished = describe_unfinished(points)
    several = cells["experiment"].nunique() > 1
    shown = {"cells": rows, "differences": families, "front": fronts, "unfinished": unfinished}
    methods = {name for row in rows for name in str(row["method"]).split(">")}
    page: dict[str, Any] = {
        "eyebrow": "Sweep report",
        "title": plan["title"] or f"Sweep {plan['sweep']}",
        "findings": find_findings(cells, differences, states, margin=margin),
        "facts": _list_facts(plan, points, rows, several=several, created=str(context["created"])),
        "states": states,
        "planned": len(points),
        "metric": metric,
        "several": several,
        "margin": f"{fmt.number(100 * margin)} point{'' if margin == 0.01 else 's'}",
        "cells": rows[:MOST_ROWS],
        "more_cells": max(0, len(rows) - MOST_ROWS),
        "families": families,
        "fronts": fronts[:MOST_ROWS],
        "unfinished": unfinished[:MOST_ROWS],
        "more_unfinished": max(0, len(unfinished) - MOST_ROWS),
        "failures": [row for row in unfinished if row["state"] == "failed"][:3],
        "figures": drawn,
        "glossary": [method for name, method in METHODS.items() if name in methods],
        "words": WORDS,
        "tables": {name: columns for name, (_, columns) in TABLES.items()},
        "columns": explain_columns([name for name, content in shown.items() if content], metric, TABLES),
        "scripts": list_scripts(with_figures=bool(drawn)),
        # Of how to reproduce it.
        "command": context["command"],
        "commit": context["commit"],
        "tracked": context["tracked"],
        "run": context["run"],
        "address": "/".join(filter(None, (context["tracked"], context["run"]))),
        "left_out": [],
        "rows": [],
        "parameters": flatten(context["parameters"]),
        "arithmetic": {},
        "versions": flatten(context["versions"]),
    }
    return render_page("sweeps/sweep.html.j2", page)


def _name_metric(cells: pd.DataFrame) -> str:
    names = {name for name in cells["metric"] if isinstance(name, str)}
    return names.pop() if len(names) == 1 else "score" if names else ACCURACY


def _list_facts(
    plan: Mapping[str, Any],
    points: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    *,
    several: bool,
    created: str,
) -> list[tuple[str, str]]:
    experiments = dict.fromkeys(str(point["experiment"]) for point in points) or {
        str(plan["experiment"]): None
    }
    seconds = sum(point["seconds"] or 0 for point in points if point["state"] == "done")
    facts = [
        ("Experiments" if several else "Experiment", ", ".join(list(experiments)[:6])),
        ("Sweep", str(plan["sweep"])),
        ("Methods", str(len({row["method"] for row in rows}))),
        ("Seeds", str(max((row["n"] for row in rows), default=0))),
    ]
    sizes = sorted({round(row["prunable"]) for row in rows if not fmt.is_missing(row["prunable"])})
    if sizes:
        facts.append(
            (put_metric("Prunable weights D", ACCURACY), ", ".join(fmt.whole(size) for size in sizes[:4]))
        )
    if seconds:
        facts.append(("Time of all points", fmt.duration(seconds)))
    return [*facts, ("Written", created)]
