"""One look for every method: its name in print, its colour and its marker, the same in all figures.

The colours start from the set of Okabe and Ito (2008), chosen to stay apart under the common kinds of colour
blindness, shifted so that each stands out on white and on near-black. Fourteen colours are more than anybody
tells apart, so each method has a marker of its own too; no figure needs its colours to be read.
"""

import hashlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Look:
    """How a method appears: ``label`` in words, ``colour`` as hex, ``symbol`` as plotly names markers."""

    label: str
    colour: str
    symbol: str


LOOKS = {
    "lth": Look("LTH", "#D55E00", "square"),
    "ltr": Look("LTR", "#0072B2", "circle"),
    "cts": Look("CTS", "#009E73", "diamond"),
    "snip": Look("SNIP", "#CC6FA3", "triangle-up"),
    "grasp": Look("GraSP", "#B98300", "triangle-down"),
    "synflow": Look("SynFlow", "#4A9FD4", "pentagon"),
    "edge_popup": Look("Edge-popup", "#5B7F95", "bowtie"),
    "gem_miner": Look("Gem-Miner", "#A0559B", "hourglass"),
    "prospr": Look("ProsPr", "#5F9A3C", "star-triangle-up"),
    "magnitude": Look("Magnitude", "#94693A", "hexagon"),
    "random": Look("Random", "#8B8F2B", "cross"),
    "layer": Look("Layer", "#7A5FC7", "star-square"),
    "filter": Look("Filter", "#3A9C8F", "star-diamond"),
    "supertickets": Look("SuperTickets", "#C2416A", "star"),
}
DENSE_COLOUR = "#7B818C"
WARNING_COLOUR = "#C0392B"
CONTROL_LABELS = {"random_mask": "random mask", "reinitialise": "new initial weights"}
CONTROL_SYMBOLS = {"random_mask": "x", "reinitialise": "diamond-tall"}


def look_of(method: str) -> Look:
    """Give the look of a method; one the table does not know gets a steady colour picked by its name.

    A chain (``layer>cts``, as a run ``layer_cts``) has the colour of its last method, and an open marker.
    """
    if method in LOOKS:
        return LOOKS[method]
    parent, _, child = method.partition("_")
    if parent in LOOKS and child in LOOKS:
        return look_of(f"{parent}>{child}")
    if ">" in method:
        *parents, last = [look_of(part) for part in method.split(">")]
        label = " > ".join([*(look.label for look in parents), last.label])
        return Look(label, last.colour, f"{last.symbol.removesuffix('-open')}-open")
    choices = list(LOOKS.values())
    chosen = choices[int(hashlib.sha256(method.encode()).hexdigest(), 16) % len(choices)]
    return Look(method.replace("_", " "), chosen.colour, f"{chosen.symbol}-open")


def ticket_marker(look: Look) -> dict[str, Any]:
    """Give plotly's marker of a trained ticket, larger than those of rungs and controls."""
    edge = {"width": 1.5, "color": "rgba(255,255,255,0.75)"}
    return {"symbol": look.symbol, "size": 14, "color": look.colour, "line": edge}


def label_run(run: str, method: str) -> str:
    """Name a run for people: the method, and the run too where it is another word (``sparse_retraining``)."""
    label = look_of(method).label
    return label if run == method.replace(">", "_") else f"{label} ({run.replace('_', ' ')})"


def label_control(kind: str) -> str:
    """Name a control for people."""
    return CONTROL_LABELS.get(kind, kind.replace("_", " "))
