"""The figures as the page shows them: in which order, with which heading and words, and as what data."""

import json
from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from lottery_pipeline.reporting.metric import put_metric
from lottery_pipeline.reporting.robustness_section import ROBUSTNESS_TEXTS

FIGURE_TEXTS = {
    "accuracy_against_density": (
        "Accuracy against density",
        (
            "Each line is the ladder of one method, from many weights to few. The large marker is the ticket "
            "of the leaderboard, open markers are the controls, and the dashed line is the dense network. A "
            "ticket of another network has a line of its own: its density counts the weights of that network."
            " Markers of equal density stand side by side; hovering tells the exact density. Thin bars: 95% "
            "intervals over the choice of test images."
        ),
    ),
    "accuracy_against_cost": (
        "Accuracy against cost",
        (
            "Each marker shows the cost of search and training together. The bar to it starts at a small "
            "tick, the cost of training alone: the bar is the search. The open circle is the dense network. "
            "A marker that would hide another stands beside it. Upright bars: 95% intervals over the choice "
            "of test images."
        ),
    ),
    "accuracy_against_execution": (
        "Accuracy against execution cost",
        (
            "Only physical removal makes a network faster: a masked ticket runs at full size, except for "
            "channels and blocks with no weights left. Latency, at the largest batch, is the median of "
            "passes taken in turns with the ticket's dense parent, on the machine of this run. A marker that "
            "would hide another stands beside it. Upright bars: 95% intervals over the choice of test images."
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
        (
            "How the remaining weights are spread over the network, from input to output: darker cells keep "
            "more. A layer without a cell is removed."
        ),
    ),
    "layer_macs": (
        "Multiply-accumulates of every layer",
        (
            "For one image, if every pruned weight could be skipped: the share that is left, darker where it "
            "is more. Beside each layer: the multiply-accumulates of the dense network. Equal densities can "
            "differ in arithmetic."
        ),
    ),
    "sanity_checks": (
        "Sanity checks",
        (
            "Each ticket was changed and trained again. One that owes its accuracy to its mask and weights "
            "loses accuracy with every change, except perhaps a search on half of the images. Marker and "
            "bar: mean and 95% interval over seeds. Strokes: single seeds. An arrow: the mean is beyond "
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
            "over seeds. Strokes: single seeds. Dotted lines: two-in-one."
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
COLOURWAY = ("#33658A", "#E0A030", "#7FB7D6", "#8A5A83", "#5E9C76")  # of figures that choose no colours
DATA_FIGURES = ("data_samples", "data_class_counts")
STUDY_FIGURES = ("supertickets_study", "supertickets_transfer")
ROBUSTNESS_FIGURES = tuple(ROBUSTNESS_TEXTS)
ARCHITECTURE_FIGURES = ("architecture", "block_widths", "search_path", "search_course")


def describe_figures(
    figures: Mapping[str, go.Figure | None], metric: str, texts: Mapping[str, tuple[str, str]] = FIGURE_TEXTS
) -> list[dict[str, Any]]:
    """Return what the page needs of each figure, in the order of the page.

    Args:
        figures: by name; None if there is none.
        metric: what the accuracies are; it takes the place of the word.
        texts: heading and words by name, in the order of the page; figures that have none come last.
    """
    names = [name for name in texts if name in figures]
    names += [name for name in figures if name not in texts]
    return [
        _describe(name, figure, texts.get(name), metric)
        for name in names
        if (figure := figures[name]) is not None
    ]


def _describe(name: str, figure: go.Figure, known: tuple[str, str] | None, metric: str) -> dict[str, Any]:
    # The page shows the title as a heading above the figure; inside the figure it would appear twice.
    content = json.loads(figure.to_json())
    own_title = content["layout"].pop("title", {}).get("text") or name.replace("_", " ").capitalize()
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
