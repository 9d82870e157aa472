"""The report: one html file with everything in it, for people to read, now or years later, offline."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from lottery_pipeline.options import METHODS, Method
from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.findings import find
from lottery_pipeline.reporting.leaderboard import list_rows
from lottery_pipeline.reporting.palette import label_control, label_run, look_of
from lottery_pipeline.reproducibility.measured import flatten_record

Tables = Mapping[str, list[dict[str, Any]] | None]

FIGURE_TEXTS = {
    "accuracy_against_density": (
        "Accuracy against density",
        (
            "Each line is the ladder of one method, from many weights to few. The large marker is the ticket "
            "of the leaderboard, open markers are the controls, and the dashed line is the dense network."
        ),
    ),
    "accuracy_against_cost": (
        "Accuracy against cost",
        (
            "Each marker shows the cost of search and training together. The bar to it starts at a small "
            "tick, the cost of training alone: the bar is the search. The open circle is the dense network."
        ),
    ),
    "accuracy_against_execution": (
        "Accuracy against execution cost",
        (
            "Only physical removal makes a network faster: a masked ticket runs at full size, except for "
            "channels and blocks with no weights left. Latency is the median of passes taken in turns with "
            "the dense network, on the machine of this run."
        ),
    ),
    "training_curves": (
        "Training curves",
        (
            "The dense run and the retraining of each ticket. Solid lines: validation images. Dotted lines: "
            "augmented training images."
        ),
    ),
    "layer_densities": (
        "Density of every layer",
        "How the remaining weights are spread over the network, from input to output.",
    ),
    "layer_macs": (
        "Multiply-accumulates of every layer",
        "For one image, if every pruned weight could be skipped. Equal densities can differ in arithmetic.",
    ),
    "sanity_checks": (
        "Sanity checks",
        (
            "Each ticket was changed and trained again. One that owes its accuracy to its mask and weights "
            "loses accuracy with every change, except perhaps a search on half of the images. Marker and "
            "bar: mean and 95% interval over seeds. Open dots: single seeds. An arrow: the mean is beyond "
            "the edge."
        ),
    ),
    "attacks": (
        "Evidence against accuracy",
        (
            "Each line is one attack, from weak to strong. Above the dashed line the mark is detected. An "
            "attack succeeds at the lower left, where the mark is lost but little accuracy."
        ),
    ),
    "data_samples": ("Sample images", "As the network sees them, before augmentation."),
    "data_class_counts": ("Images per class", ""),
}
COLOURWAY = ("#33658A", "#E0A030", "#7FB7D6", "#8A5A83", "#5E9C76")  # of figures that choose no colours
DATA_FIGURES = ("data_samples", "data_class_counts")
PRINTED = (  # filters of the template
    *(fmt.percent, fmt.density, fmt.points, fmt.whole, fmt.epochs, fmt.duration),
    *(fmt.quantity, fmt.size, fmt.ratio, fmt.short_fingerprint),
)


def render_report(
    *,
    leaderboard: pd.DataFrame,
    figures: Mapping[str, go.Figure | None],
    data_profile: pd.DataFrame | None,
    dense_metrics: Mapping[str, Any] | None,
    ladders: Tables,
    controls: Tables,
    ownership: Mapping[str, Any] | None,
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
        context: what was run; every key may be absent. ``experiment``, ``variant``, ``seed``, ``data``,
            ``model``, ``recipe``, ``command``, ``created`` are shown as they are; ``tracked`` is the address
            of the runs in MLflow; ``test_images`` (int) lets the report say what chance explains;
            ``parameters`` and ``versions`` are dicts, nested to any depth.

    Returns:
        The html text.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {function.__name__: function for function in PRINTED}
    findings = find(leaderboard, ladders, controls, test_images=context.get("test_images"))
    drawn = [_describe_figure(name, figure) for name, figure in _order(figures)]
    rows = [_leaderboard_row(row) for row in list_rows(leaderboard)]
    return environment.get_template("report.html.j2").render(
        title=" · ".join(str(context[key]) for key in ("data", "model") if context.get(key))
        or "Lottery tickets",
        command=context.get("command"),
        tracked=context.get("tracked"),
        facts=_list_facts(context, dense_metrics, rows),
        findings=findings,
        dense=None if dense_metrics is None else flatten_record(dense_metrics),
        dense_fingerprint=_find_dense_fingerprint(rows, dense_metrics),
        rows=rows,
        stale=_find_stale(rows, dense_metrics),
        ladders=[_ladder_table(run, table, rows) for run, table in ladders.items() if table],
        controls=_control_rows(controls, ladders, rows),
        ownership=ownership,
        figures=[figure for figure in drawn if figure["name"] not in ("attacks", *DATA_FIGURES)],
        attack_figures=[figure for figure in drawn if figure["name"] == "attacks"],
        data_figures=[figure for figure in drawn if figure["name"] in DATA_FIGURES],
        glossary=_list_methods(rows),
        profile=None if data_profile is None else _profile_table(data_profile),
        parameters=flatten(context.get("parameters") or {}),
        versions=flatten(context.get("versions") or {}),
        plotly_js=get_plotlyjs(),
    )


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


def _order(figures: Mapping[str, go.Figure | None]) -> list[tuple[str, go.Figure]]:
    names = [name for name in FIGURE_TEXTS if name in figures]
    names += [name for name in figures if name not in FIGURE_TEXTS]
    return [(name, figure) for name in names if (figure := figures[name]) is not None]


def _describe_figure(name: str, figure: go.Figure) -> dict[str, Any]:
    # The page shows the title as a heading above the figure; inside the figure it would appear twice.
    content = json.loads(figure.to_json())
    own_title = content["layout"].pop("title", {}).get("text") or name.replace("_", " ").capitalize()
    heading, caption = FIGURE_TEXTS.get(name, (own_title, ""))
    margin = content["layout"].get("margin", {})
    content["layout"]["margin"] = margin | {"t": min(margin.get("t", 24), 24)}
    content["layout"].setdefault("colorway", list(COLOURWAY))
    height = content["layout"].get("height", 480)
    return {"name": name, "heading": heading, "caption": caption, "content": content, "height": int(height)}


def _leaderboard_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "label": label_run(str(row["run"]), str(row["method"])),
        "colour": look_of(str(row["method"])).colour,
        "macs_share": _share(row["macs_theoretical"], row["macs_dense"]),
        "executed_share": _share(row["macs_executed"], row["macs_dense"]),
    }


def _share(part: Any, whole: Any) -> float | None:
    missing = fmt.is_missing(part) or fmt.is_missing(whole) or not whole
    return None if missing else part / whole


def _list_facts(
    context: Mapping[str, Any], dense: Mapping[str, Any] | None, rows: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str]]:
    prunable = (dense or {}).get("prunable") or (rows[0]["prunable"] if rows else None)
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


def _find_stale(rows: Sequence[Mapping[str, Any]], dense: Mapping[str, Any] | None) -> list[str]:
    """Name the runs whose dense parent is not the current dense run (it was trained again since)."""
    if dense is None:
        return []
    # Dense runs of earlier versions do not say their fingerprint.
    column, key = ("dense_accuracy", "test_accuracy")
    if "fingerprint" in dense:
        column, key = ("dense_fingerprint", "fingerprint")
    return [row["label"] for row in rows if row[column] != dense[key]]


def _find_dense_fingerprint(rows: Sequence[Mapping[str, Any]], dense: Mapping[str, Any] | None) -> str | None:
    known = {row["dense_fingerprint"] for row in rows if isinstance(row["dense_fingerprint"], str)}
    single = known.pop() if len(known) == 1 and not _find_stale(rows, dense) else None
    return (dense or {}).get("fingerprint", single)


def _list_methods(rows: Sequence[Mapping[str, Any]]) -> list[Method]:
    """List the methods of the leaderboard, those of a chain (``layer>cts``) one by one."""
    shown = {name for row in rows for name in str(row["method"]).split(">")}
    return [method for name, method in METHODS.items() if name in shown]


def _ladder_table(
    run: str, table: Sequence[dict[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    method = next((str(row["method"]) for row in rows if row["run"] == run), run)
    ordered = sorted(table, key=lambda row: row["rung"])
    dense = next((row["dense_accuracy"] for row in rows if row["run"] == run), None)
    return {
        "label": label_run(run, method),
        "colour": look_of(method).colour,
        "rows": ordered,
        "dense": dense,
    }


def _control_rows(
    controls: Tables, ladders: Tables, rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Put every control beside the ticket of the same run with the same number of weights."""
    described = []
    for run, table in controls.items():
        tickets = {row["kept"]: row["test_accuracy"] for row in ladders.get(run) or ()}
        tickets |= {row["kept"]: row["test_accuracy"] for row in rows if row["run"] == run}
        method = next((str(row["method"]) for row in rows if row["run"] == run), run)
        for row in sorted(table or (), key=lambda row: (-row["density"], row["control"])):
            ticket = tickets.get(row["kept"])
            described.append(
                {
                    **row,
                    "label": label_run(run, method),
                    "colour": look_of(method).colour,
                    "kind": label_control(str(row["control"])),
                    "ticket": ticket,
                    "difference": None if ticket is None else ticket - row["test_accuracy"],
                }
            )
    return described


def _profile_table(profile: pd.DataFrame) -> dict[str, Any]:
    named = profile if isinstance(profile.index, pd.RangeIndex) else profile.reset_index()
    return {
        "columns": [str(column).replace("_", " ") for column in named.columns],
        "rows": [
            # The first column names the row, even if the names are digits.
            [(str(first), False), *(_cell(value) for value in rest)]
            for first, *rest in named.itertuples(index=False, name=None)
        ],
    }


def _cell(value: Any) -> tuple[str, bool]:
    """Print a value of an unknown table; the flag says whether it is a number (which is aligned right)."""
    if fmt.is_missing(value):
        return fmt.DASH, True
    if isinstance(value, str):
        return value, False
    if isinstance(value, bool):
        return str(value).lower(), False
    number = float(value)
    return (f"{round(number):,}" if number.is_integer() else f"{number:.4g}"), True
