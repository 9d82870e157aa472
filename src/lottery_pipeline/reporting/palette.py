"""One look for every method: its name in print, its colour and its marker, the same in all figures.

The colours start from the set of Okabe and Ito (2008), chosen to stay apart under the common kinds of colour
blindness, shifted so that each stands out on white and on near-black. There are too many to tell apart, so
each method also has its own marker; every figure can be read without its colours.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from lottery_pipeline.options import METHODS


@dataclass(frozen=True)
class Look:
    """How a method appears: ``label`` in words, ``colour`` as hex, ``symbol`` as plotly names markers."""

    label: str
    colour: str
    symbol: str


LOOKS = {name: Look(row.label, row.colour, row.symbol) for name, row in METHODS.items()}
DENSE_COLOUR = "#7B818C"
WARNING_COLOUR = "#C0392B"
# Attacks A0 to A31 differ in colour or in marker.
ATTACK_COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC6FA3"),
    *("#B98300", "#4A9FD4", "#7A5FC7", "#94693A"),
)
ATTACK_SYMBOLS = ("circle", "square", "diamond", "triangle-up")
# From nothing to all, in cells. Opaque, so that their numbers can be read on white and on near-black alike.
SHARES = ((0.0, "#E7ECF2"), (0.5, "#6FA3CC"), (1.0, "#0B4F83"))
FADED = 0.45
CONTROL_LABELS = {"random_mask": "random mask", "reinitialise": "new initial weights"}
CONTROL_SYMBOLS = {"random_mask": "x", "reinitialise": "diamond-tall"}


def look_of(method: str) -> Look:
    """Give the look of a method; an unknown one gets a fixed colour picked by its name.

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


def look_of_attack(attack: str, name: str) -> Look:
    """Give the look of an attack by the number in its identifier, the same whichever others are shown.

    Args:
        attack: such as A5.
        name: in print.
    """
    number = int(re.sub(r"[^0-9]", "", attack) or 0)
    row, place = divmod(number, len(ATTACK_COLOURS))
    symbol = ATTACK_SYMBOLS[row % len(ATTACK_SYMBOLS)]
    return Look(f"{attack} {name}", ATTACK_COLOURS[place], symbol)


def fade(colour: str, share: float = FADED) -> str:
    """Make a colour transparent, so that many lines do not hide their markers.

    Args:
        colour: as hex.
        share: how much of it is left, in [0, 1].
    """
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"


def ticket_marker(look: Look) -> dict[str, Any]:
    """Give plotly's marker of a trained ticket, larger than those of rungs and controls."""
    edge = {"width": 1.5, "color": "rgba(255,255,255,0.75)"}
    return {"symbol": look.symbol, "size": 14, "color": look.colour, "line": edge}


def label_run(run: str, method: str) -> str:
    """Name a run for people: the method, and the run too if it has another name (``sparse_retraining``)."""
    label = look_of(method).label
    return label if run == method.replace(">", "_") else f"{label} ({run.replace('_', ' ')})"


def label_control(kind: str) -> str:
    """Name a control for people."""
    return CONTROL_LABELS.get(kind, kind.replace("_", " "))
