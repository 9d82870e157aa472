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
from lottery_pipeline.reporting.dense_parents import (
    find_dense_fingerprint,
    find_stale,
    list_own_parents,
)
from lottery_pipeline.reporting.findings import find
from lottery_pipeline.reporting.leaderboard import list_rows
from lottery_pipeline.reporting.metric import name_metric, put_metric
from lottery_pipeline.reporting.ranking import can_choose
from lottery_pipeline.reporting.report_tables import (
    describe_adversarial_training,
    describe_controls,
    describe_ladder,
    describe_profile,
    describe_row,
)
from lottery_pipeline.reporting.robustness_section import ROBUSTNESS_TEXTS
from lottery_pipeline.reproducibility.measured import flatten_record

Tables = Mapping[str, list[dict[str, Any]] | None]

FIGURE_TEXTS = {
    "accuracy_against_density": (
        "Accuracy against density",
        (
            "Each line is the ladder of one method, from many weights to few. The large marker is the ticket "
            "of the leaderboard, open markers are the controls, and the dashed line is the dense network. A "
            "ticket of another network has a line of its own: its density counts the weights of that network."
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
            "channels and blocks with no weights left. Latency, at the largest batch, is the median of "
            "passes taken in turns with the ticket's dense parent, on the machine of this run."
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
    "architecture": (
        "The network",
        (
            "Each row is a branch, each box a block. The bars in a box say which kernels and tokens are "
            "left; a full box is the supernet. Between the stages, thicker lines have more channels left."
        ),
    ),
    "block_widths": (
        "Kernels and widths of every block",
        (
            "Numbers are hidden channels and tokens that are left; darker cells keep more of the supernet. "
            "MACs are a share of the supernet's; weights are those not masked, of the remaining channels."
        ),
    ),
    "search_path": (
        "The joint search",
        (
            "Every epoch has a marker at its exact multiply-accumulates, those left if masked weights could "
            "be skipped. The ring at the end of its bar is the network as it is. Batch norm was measured "
            "anew each time. Masked weights may come back to train, so one line joins the epochs that leave "
            "weights masked, another one those that leave all weights in use."
        ),
    ),
    "search_course": (
        "What the search left",
        "Above, the weights that are not masked; below, the hidden channels and tokens that are not removed.",
    ),
    "supertickets_study": (
        "Accuracy of the arms",
        (
            "Each line is a way to get from the supernet to a network. Marker and bar: mean and 95% interval "
            "over seeds. Open dots: single seeds. Dotted lines: two-in-one."
        ),
    ),
    "supertickets_transfer": (
        "Accuracy of moved tickets",
        (
            "Rows: the task that a SuperTicket was found for. Columns: the task that it was trained for. The "
            "colour and the second line of a cell say how far it is ahead of the control named at the scale."
        ),
    ),
    **ROBUSTNESS_TEXTS,
    "data_samples": ("Sample images", "As the network sees them, before augmentation."),
    "data_class_counts": ("", ""),  # the figure says what is counted
}
UNORDERED = "name, as there are no validation images to choose by"
COLOURWAY = ("#33658A", "#E0A030", "#7FB7D6", "#8A5A83", "#5E9C76")  # of figures that choose no colours
DATA_FIGURES = ("data_samples", "data_class_counts")
STUDY_FIGURES = ("supertickets_study", "supertickets_transfer")
ROBUSTNESS_FIGURES = tuple(ROBUSTNESS_TEXTS)
ARCHITECTURE_FIGURES = ("architecture", "block_widths", "search_path", "search_course")
PRINTED = (  # filters of the template
    *(fmt.percent, fmt.density, fmt.points, fmt.whole, fmt.number, fmt.epochs, fmt.duration),
    *(fmt.quantity, fmt.size, fmt.ratio, fmt.short_fingerprint, put_metric),
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
    architecture: Mapping[str, Any] | None,
    arms: Mapping[str, Any] | None = None,
    transfers: Mapping[str, Any] | None = None,
    robustness: Mapping[str, Any] | None = None,
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
        uncounted: a sentence about the weights that do not count in D; empty if all do.
        left_out: a sentence for everything that was left out or failed.
        context: what was run; every key may be absent. ``experiment``, ``variant``, ``seed``, ``data``,
            ``model``, ``recipe``, ``command``, ``created`` are shown as they are; ``tracked`` is the address
            of the runs in MLflow; ``test_images`` (int) lets the report say what chance explains;
            ``parameters`` and ``versions`` are dicts, nested to any depth; ``arithmetic`` as
            ``list_arithmetic`` makes it.

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
    others = () if robustness is None else robustness["findings"]
    findings = find(leaderboard, ladders, controls, test_images=context.get("test_images"), others=others)
    rows = [describe_row(row, dense_metrics) for row in list_rows(leaderboard)]
    metric = name_metric([*rows, dense_metrics])
    drawn = [_describe_figure(name, figure, metric) for name, figure in _order(figures)]
    elsewhere = ("attacks", *ROBUSTNESS_FIGURES, *ARCHITECTURE_FIGURES, *STUDY_FIGURES, *DATA_FIGURES)
    return environment.get_template("report.html.j2").render(
        title=" · ".join(str(context[key]) for key in ("data", "model") if context.get(key))
        or "Lottery tickets",
        command=context.get("command"),
        tracked=context.get("tracked"),
        facts=_list_facts(context, dense_metrics, rows),
        findings=findings,
        dense=None if dense_metrics is None else flatten_record(dense_metrics),
        dense_fingerprint=find_dense_fingerprint(rows, dense_metrics),
        rows=rows,
        dense_macs=next((row["macs_dense"] for row in rows if not row["is_own"]), None),
        own_parents=list_own_parents(rows),
        metric=metric,
        order="validation accuracy" if can_choose(rows) else UNORDERED,
        stale=find_stale(rows, dense_metrics),
        ladders=[describe_ladder(run, table, rows) for run, table in ladders.items() if table],
        controls=describe_controls(controls, ladders, rows),
        adversarial=describe_adversarial_training(rows, dense_metrics),
        ownership=ownership,
        architecture=architecture,
        figures=[figure for figure in drawn if figure["name"] not in elsewhere],
        arms=arms,
        arm_figures=[figure for figure in drawn if figure["name"] == STUDY_FIGURES[0]],
        transfers=transfers,
        transfer_figures=[figure for figure in drawn if figure["name"] == STUDY_FIGURES[1]],
        architecture_figures=[figure for figure in drawn if figure["name"] in ARCHITECTURE_FIGURES],
        robustness=robustness,
        uncounted=uncounted,
        left_out=left_out,
        robustness_figures=[figure for figure in drawn if figure["name"] in ROBUSTNESS_FIGURES],
        attack_figures=[figure for figure in drawn if figure["name"] == "attacks"],
        data_figures=[figure for figure in drawn if figure["name"] in DATA_FIGURES],
        glossary=_list_methods(rows),
        profile=None if data_profile is None else describe_profile(data_profile),
        parameters=flatten(context.get("parameters") or {}),
        arithmetic=context.get("arithmetic") or {},
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


def _describe_figure(name: str, figure: go.Figure, metric: str) -> dict[str, Any]:
    # The page shows the title as a heading above the figure; inside the figure it would appear twice.
    content = json.loads(figure.to_json())
    own_title = content["layout"].pop("title", {}).get("text") or name.replace("_", " ").capitalize()
    known = FIGURE_TEXTS.get(name)
    heading, caption = ("", "") if known is None else (put_metric(text, metric) for text in known)
    margin = content["layout"].get("margin", {})
    content["layout"]["margin"] = margin | {"t": min(margin.get("t", 24), 24)}
    content["layout"].setdefault("colorway", list(COLOURWAY))
    height = content["layout"].get("height", 480)
    return {
        "name": name,
        "heading": heading or own_title,
        "caption": caption,
        "content": content,
        "height": int(height),
    }


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
