"""The key numbers of robustness: networks by measures, coloured by the difference to the dense parent."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.layout import MARGIN_BOTTOM, MARGIN_TOP, axis, leave_empty, start_figure
from lottery_pipeline.reporting.robustness_record import (
    CONFIDENCE,
    Key,
    Network,
    Record,
    Row,
    choose_headline,
    choose_score,
    index_rows,
    list_corruptions,
    list_networks,
    list_strangers,
    value_of,
)
from lottery_pipeline.reporting.robustness_words import describe_interval, label_setting, wrap_label

NOTHING = "Nothing has been measured."
# Worse and better, far apart under the common kinds of colour blindness; opaque, so that numbers can be read.
COLOURS = ((0.0, "#B2182B"), (0.5, "#F4F4F2"), (1.0, "#2166AC"))
ROW_HEIGHT = 32  # pixels
ROW_LETTERS, COLUMN_LETTERS = 14, 15  # of a line of a label
LEAST_SPAN, LARGEST_SPAN = 1.0, 10.0  # points: a network in ruins must not turn all others pale
CLEAN = (
    *(("clean", "clean", "accuracy"), ("calibration", "as trained", "accuracy")),
    ("corruption", "clean", "accuracy"),
    *(("adversarial", norm, "clean_accuracy") for norm in ("Linf", "L2")),
)


@dataclass(frozen=True)
class Measure:
    """A column.

    Attributes:
        label: of the column.
        find: gives the row of a network, by its name; None if it was not measured.
        is_error: whether less is better.
    """

    label: str
    find: Callable[[str], Row | None]
    is_error: bool = False


def draw_robustness_heatmap(record: Record) -> go.Figure:
    """Draw a row of cells for each network, a column for each key measure, all in percent.

    Args:
        record: of the robustness evaluation.

    Returns:
        A figure whose cells have the colour of the difference to the network's own dense parent, which has no
        colour itself. Without anything measured, an empty figure that says so.
    """
    networks, measures = list_networks(record), list_measures(record)
    height = MARGIN_TOP + MARGIN_BOTTOM + 120 + ROW_HEIGHT * max(3, len(networks))
    figure = start_figure("Robustness at a glance", height=height)
    if not networks or not measures:
        return leave_empty(figure, NOTHING)
    ahead = [[_ahead(measure, network) for measure in measures] for network in networks]
    most = max(abs(value) for line in ahead for value in (*line, 0.0) if value is not None)
    span = min(LARGEST_SPAN, max(LEAST_SPAN, most))
    confidence = record.get("confidence", CONFIDENCE)
    figure.add_heatmap(
        x=[wrap_label(measure.label, COLUMN_LETTERS) for measure in measures],
        y=[wrap_label(network.look.label, ROW_LETTERS) for network in networks],
        z=[[0.0 if value is None else value for value in line] for line in ahead],
        zmin=-span,
        zmax=span,
        colorscale=[list(stop) for stop in COLOURS],
        xgap=2,
        ygap=2,
        text=[[_print_cell(measure.find(network.method)) for measure in measures] for network in networks],
        texttemplate="%{text}",
        textfont={"size": 11},
        hovertext=[[_hover(measure, network, confidence) for measure in measures] for network in networks],
        hoverinfo="text",
        colorbar={
            "orientation": "h",
            "title": {"text": "Points better than the dense parent", "side": "top", "font": {"size": 12}},
            "thickness": 10,
            "outlinewidth": 0,
            "x": 0.5,
            "y": 0,
            "yanchor": "top",
            "ypad": 18,
            "len": 1,
            "nticks": 5,
        },
    )
    # Level where there is room, upright on a phone.
    top = axis(
        "",
        type="category",
        side="top",
        autotickangles=[0, 90],
        showgrid=False,
        ticks="",
        tickfont={"size": 11},
    )
    figure.update_xaxes(top)
    figure.update_yaxes(axis("", type="category", showgrid=False, ticks="", autorange="reversed"))
    return figure


def list_measures(record: Record) -> list[Measure]:
    """List the key measures that at least one network has a value of."""
    rows = index_rows(record)

    def at(family: str, setting: str, metric: str) -> Callable[[str], Row | None]:
        return lambda method: rows.get((method, family, setting, metric))

    headline, corruptions = choose_headline(record), list_corruptions(record)
    measures = [Measure("clean", lambda method: find_clean(rows, method))]
    if headline is not None:
        measures.append(Measure(headline.setting, at("adversarial", headline.setting, "robust_accuracy")))
    measures += [
        Measure("corrupted, mean", at("corruption", "mean", "accuracy")),
        Measure("corrupted, worst", lambda method: _find_worst(rows, method, corruptions)),
    ]
    for name, scores in list_strangers(record).items():
        setting = f"{name} {choose_score(scores)}"
        measures.append(Measure(f"AUROC {label_setting(name)}", at("out_of_distribution", setting, "auroc")))
    measures.append(Measure("ECE", at("calibration", "as trained", "ece"), is_error=True))
    methods = [network.method for network in list_networks(record)]
    return [
        measure
        for measure in measures
        if any(value_of(measure.find(method)) is not None for method in methods)
    ]


def find_clean(rows: Mapping[Key, Row], method: str) -> Row | None:
    """Find the clean accuracy of a network on the most images: families may have other numbers of them."""
    found = [row for place in CLEAN if (row := rows.get((method, *place))) is not None]
    known = [row for row in found if value_of(row) is not None]
    return max(known, key=lambda row: row.get("n") or 0, default=None)


def _find_worst(rows: Mapping[Key, Row], method: str, corruptions: Sequence[str]) -> Row | None:
    found = [rows.get((method, "corruption", name, "accuracy")) for name in corruptions]
    known = {value: row for row in found if (value := value_of(row)) is not None}
    return known[min(known)] if known else None


def _ahead(measure: Measure, network: Network) -> float | None:
    """Return how many points better a network is than its dense parent."""
    value, reference = (value_of(measure.find(name)) for name in (network.method, network.reference))
    if value is None or reference is None:
        return None
    difference = 100 * (reference - value if measure.is_error else value - reference)
    return float(f"{difference:.4g}")


def _print_cell(row: Row | None) -> str:
    value = value_of(row)
    return fmt.DASH if value is None else f"{100 * value:.1f}"


def _hover(measure: Measure, network: Network, confidence: float) -> str:
    row = measure.find(network.method)
    lines = [f"<b>{escape(network.look.label)}</b>, {escape(measure.label)}: {fmt.percent(value_of(row))}"]
    if row is not None and measure.label == "corrupted, worst":
        lines.append(escape(label_setting(str(row["setting"]))))
    lines += describe_interval(row, confidence)
    ahead = _ahead(measure, network)
    if ahead is not None and not network.is_dense:
        tone = "better" if ahead > 0 else "worse" if ahead < 0 else "the same"
        lines.append(f"{abs(ahead):.1f} points {tone} than its dense parent")
    return "<br>".join(lines)
