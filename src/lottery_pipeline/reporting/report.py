"""The report: one html file with everything in it, for people to read, now or years later, offline."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from lottery_pipeline.options import METHODS, Method
from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.captions import (
    ARCHITECTURE_FIGURES,
    DATA_FIGURES,
    ROBUSTNESS_FIGURES,
    STUDY_FIGURES,
    describe_figures,
)
from lottery_pipeline.reporting.columns import TABLES, explain_columns
from lottery_pipeline.reporting.dense_parents import (
    find_dense_fingerprint,
    find_stale,
    list_own_parents,
)
from lottery_pipeline.reporting.findings import find
from lottery_pipeline.reporting.leaderboard import list_rows
from lottery_pipeline.reporting.metric import ACCURACY, name_metric
from lottery_pipeline.reporting.page import render_page
from lottery_pipeline.reporting.page_scripts import list_scripts
from lottery_pipeline.reporting.ranking import can_choose
from lottery_pipeline.reporting.report_tables import (
    describe_adversarial_training,
    describe_controls,
    describe_ladder,
    describe_profile,
    describe_row,
)
from lottery_pipeline.reporting.uncertainty import find_interval
from lottery_pipeline.reproducibility.measured import flatten_record

Tables = Mapping[str, list[dict[str, Any]] | None]

UNORDERED = "name, as there are no validation images to choose by"


def render_report(
    *,
    leaderboard: pd.DataFrame,
    figures: Mapping[str, go.Figure | None],
    data_profile: pd.DataFrame | None,
    dense_metrics: Mapping[str, Any] | None,
    ladders: Tables,
    controls: Tables,
    ownership: Mapping[str, Any] | None,
    architecture: Mapping[str, Any] | None,
    arms: Mapping[str, Any] | None = None,
    transfers: Mapping[str, Any] | None = None,
    robustness: Mapping[str, Any] | None = None,
    theta_0: str = "",
    uncounted: str = "",
    left_out: Sequence[str] = (),
    context: Mapping[str, Any],
) -> str:
    """Write the report as one self-contained html page.

    Equal arguments give an equal page. Everything that comes from outside (class folders, layer names, paths)
    is escaped, and the page's own policy prevents it from loading anything.

    Args:
        leaderboard: as ``build_leaderboard`` makes it.
        figures: by name, None if there is none; the names of ``FIGURE_TEXTS`` get a heading and an
            explanation, others keep their title.
        data_profile: any table about the images; None leaves the section out.
        dense_metrics: metrics of the dense run; None if there is none.
        ladders: rungs by run, None for methods without a ladder.
        controls: control rows by run, None for methods without controls.
        ownership: as ``describe_ownership`` makes it; None leaves the section out.
        architecture: as ``describe_architecture`` makes it; None leaves the section out.
        arms: as ``describe_arms`` makes it; None leaves the section out.
        transfers: as ``describe_transfers`` makes it; None leaves the section out.
        robustness: as ``describe_robustness`` makes it; None leaves the section out.
        theta_0: what the weights are that everything starts from; empty if they are drawn from the seed.
        uncounted: a sentence about the weights that do not count in D; empty if all do.
        left_out: a sentence for everything that was left out or failed.
        context: what was run; every key may be absent. ``experiment``, ``variant``, ``seed``, ``data``,
            ``model``, ``recipe``, ``command``, ``created`` are shown as they are; ``commit`` is empty outside
            git; ``tracked`` is the address of the runs in MLflow, empty if this one was not tracked, and
            ``run`` its identity there; ``test_images`` (int) lets the report say what chance explains;
            ``parameters`` and ``versions`` are dicts, nested to any depth; ``arithmetic`` as
            ``list_arithmetic`` makes it.

    Returns:
        The html text.
    """
    others = () if robustness is None else robustness["findings"]
    findings = find(leaderboard, ladders, controls, test_images=context.get("test_images"), others=others)
    rows = [describe_row(row, dense_metrics) for row in list_rows(leaderboard)]
    metric = name_metric([*rows, dense_metrics])
    drawn = describe_figures(figures, metric)
    elsewhere = ("attacks", *ROBUSTNESS_FIGURES, *ARCHITECTURE_FIGURES, *STUDY_FIGURES, *DATA_FIGURES)
    page: dict[str, Any] = {
        "eyebrow": "Lottery ticket report",
        "title": " · ".join(str(context[key]) for key in ("data", "model") if context.get(key))
        or "Lottery tickets",
        "command": context.get("command"),
        "commit": context.get("commit"),
        "tracked": context.get("tracked"),
        "run": context.get("run"),
        "address": "/".join(filter(None, (context.get("tracked"), context.get("run")))),
        "facts": _list_facts(context, dense_metrics, rows),
        "findings": findings,
        "dense": _describe_dense(dense_metrics, context.get("test_images"), metric),
        "dense_fingerprint": find_dense_fingerprint(rows, dense_metrics),
        "rows": rows,
        "dense_macs": next((row["macs_dense"] for row in rows if not row["is_own"]), None),
        "own_parents": list_own_parents(rows),
        "metric": metric,
        "order": "validation accuracy" if can_choose(rows) else UNORDERED,
        "stale": find_stale(rows, dense_metrics),
        "ladders": [describe_ladder(run, table, rows) for run, table in ladders.items() if table],
        "controls": describe_controls(controls, ladders, rows),
        "adversarial": describe_adversarial_training(rows, dense_metrics),
        "ownership": ownership,
        "architecture": architecture,
        "figures": [figure for figure in drawn if figure["name"] not in elsewhere],
        "arms": arms,
        "arm_figures": [figure for figure in drawn if figure["name"] == STUDY_FIGURES[0]],
        "transfers": transfers,
        "transfer_figures": [figure for figure in drawn if figure["name"] == STUDY_FIGURES[1]],
        "architecture_figures": [figure for figure in drawn if figure["name"] in ARCHITECTURE_FIGURES],
        "robustness": robustness,
        "theta_0": theta_0,
        "uncounted": uncounted,
        "left_out": left_out,
        "robustness_figures": [figure for figure in drawn if figure["name"] in ROBUSTNESS_FIGURES],
        "attack_figures": [figure for figure in drawn if figure["name"] == "attacks"],
        "data_figures": [figure for figure in drawn if figure["name"] in DATA_FIGURES],
        "glossary": _list_methods(rows),
        "profile": None if data_profile is None else describe_profile(data_profile),
        "parameters": flatten(context.get("parameters") or {}),
        "arithmetic": context.get("arithmetic") or {},
        "versions": flatten(context.get("versions") or {}),
        "tables": {name: columns for name, (_, columns) in TABLES.items()},
        "scripts": list_scripts(with_figures=bool(drawn)),
        "has_figures": bool(drawn),
    }
    return render_page("report.html.j2", page | {"columns": explain_columns(_list_tables(page), metric)})


def flatten(record: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Turn nested parameters into dotted names and printable values."""
    flat: dict[str, str] = {}
    for key, value in record.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = value if isinstance(value, str) else json.dumps(value, default=str)
    return flat


def _describe_dense(
    metrics: Mapping[str, Any] | None, test_images: int | None, metric: str
) -> dict[str, Any] | None:
    if metrics is None:
        return None
    dense = flatten_record(metrics)
    interval = find_interval(dense["test_accuracy"], test_images if metric == ACCURACY else None)
    ends = (None, None) if interval is None else (interval.low, interval.high)
    return dense | dict(zip(("test_accuracy_low", "test_accuracy_high"), ends, strict=True))


def _list_tables(page: Mapping[str, Any]) -> list[str]:
    """Name the tables that the page shows, in its order."""
    attacks = (page["ownership"] or {}).get("attacks") or {}
    robust = page["robustness"] or {}
    contents = {
        "leaderboard": page["rows"] or page["dense"],
        "ladders": page["ladders"],
        "controls": page["controls"],
        "adversarial": page["adversarial"],
        "blocks": page["architecture"],
        "arms": page["arms"],
        "transfers": page["transfers"],
        "comparisons": robust.get("comparisons"),
        "strangers": robust.get("strangers"),
        "published": (robust.get("published") or {}).get("rows"),
        "checks": (page["ownership"] or {}).get("checks"),
        "attacks": attacks,
        "qr": attacks.get("compared"),
        "fingerprints": page["rows"],
    }
    return [name for name, content in contents.items() if content]


def _list_facts(
    context: Mapping[str, Any], dense: Mapping[str, Any] | None, rows: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str]]:
    common = [row["prunable"] for row in rows if not row["is_own"]]
    prunable = (dense or {}).get("prunable") or next(iter(common), None)
    names = ("experiment", "variant", "data", "model", "recipe")
    facts = [(name.capitalize(), str(context[name])) for name in names if context.get(name)]
    if prunable:
        facts.append(("Prunable weights D", fmt.whole(prunable)))
    facts += [
        (name, str(context[key]))
        for key, name in (("seed", "Seed"), ("created", "Written"))
        if key in context
    ]
    return facts


def _list_methods(rows: Sequence[Mapping[str, Any]]) -> list[Method]:
    """List the methods of the leaderboard, those of a chain (``layer>cts``) one by one."""
    shown = {name for row in rows for name in str(row["method"]).split(">")}
    return [method for name, method in METHODS.items() if name in shown]
