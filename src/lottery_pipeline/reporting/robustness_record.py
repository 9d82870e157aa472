"""The record of the robustness evaluation, read for figures and tables: networks, rows, settings.

The record is plain JSON. Of its keys ``networks`` and ``rows`` are always there; without the others the page
says less: ``reliability``, ``checks``, ``corruptions``, ``images``, ``classes`` (of the images), ``eps`` (the
distances asked for; attacks may have added larger ones), ``margin`` and ``confidence``.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from lottery_pipeline.reporting.palette import DENSE_COLOUR, Look, look_of

Record = Mapping[str, Any]
Row = Mapping[str, Any]
Key = tuple[str, str, str, str]  # method, family, setting, metric

LABELS = {"signature_embedding": "Signed ticket"}
CONFIDENCE = 0.95  # of the intervals, where the record does not say it
_EPS = re.compile(r"(Linf|L2) eps (\d+(?:\.\d+)?)(/255)?")
_SEVERITY = re.compile(r"(.+) [1-5]")
_NEAR = 1e-6


@dataclass(frozen=True)
class Network:
    """A network that was measured.

    Attributes:
        method: its name in the rows.
        look: how it appears.
        density: kept / prunable, of its dense parent.
        reference: name of its dense parent; its own name if it is one.
    """

    method: str
    look: Look
    density: float
    reference: str

    @property
    def is_dense(self) -> bool:
        """Whether it is a dense parent."""
        return self.reference == self.method


@dataclass(frozen=True)
class Headline:
    """The distance of the headline.

    Attributes:
        setting: of its rows.
        is_floor: whether the dense network is at chance even there, so that nothing can be compared.
    """

    setting: str
    is_floor: bool


def list_networks(record: Record) -> list[Network]:
    """List the networks in the order of the record, dense parents with the look of the dense network."""
    return [
        Network(
            str(entry["method"]),
            _look_of_network(str(entry["method"]), str(entry["reference"])),
            float(entry["density"]),
            str(entry["reference"]),
        )
        for entry in record.get("networks") or ()
    ]


def index_rows(record: Record) -> dict[Key, Row]:
    """Find rows by method, family, setting and metric."""
    keys = ("method", "family", "setting", "metric")
    rows = record.get("rows") or ()
    return {(str(row[keys[0]]), row[keys[1]], row[keys[2]], row[keys[3]]): row for row in rows}


def value_of(row: Row | None, key: str = "value") -> float | None:
    """Return a number of a row (``value``, ``low`` or ``high``); None if it is missing or not finite."""
    value = None if row is None else row.get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def list_eps(record: Record) -> dict[str, float]:
    """List the settings of the curve of robust accuracy with their distance, ascending.

    Only those of one norm, that of the first row: distances of two norms do not lie on one axis.
    """
    found: dict[str, float] = {}
    norm = None
    for row in record.get("rows") or ():
        match = _EPS.fullmatch(str(row["setting"])) if row["metric"] == "robust_accuracy" else None
        if match is not None and norm in (None, match[1]):
            norm = match[1]
            found[str(row["setting"])] = float(Fraction(match[2]) / (255 if match[3] else 1))
    return dict(sorted(found.items(), key=lambda item: item[1]))


def name_norm(record: Record) -> str:
    """Return the norm of the distances: Linf or L2."""
    return next((setting.split(" ")[0] for setting in list_eps(record)), "Linf")


def choose_headline(record: Record) -> Headline | None:
    """Choose the distance at which networks are compared.

    The largest of those asked for at which the dense network, by the lower bound of its interval, is above
    chance. Where there is none, the smallest, a floor. None without an attack.
    """
    settings = list_eps(record)
    asked = record.get("eps")
    listed = [
        setting
        for setting, eps in settings.items()
        if asked is None or any(abs(eps - float(value)) < _NEAR for value in asked)
    ]
    if not listed:
        return None
    dense = next((network.method for network in list_networks(record) if network.is_dense), "")
    for setting in reversed(listed):
        if not is_floor(record, dense, setting):
            return Headline(setting, is_floor=False)
    return Headline(listed[0], is_floor=True)


def is_floor(record: Record, dense: str, setting: str) -> bool:
    """Tell whether a dense network is at chance under an attack, by the lower bound of its interval."""
    row = index_rows(record).get((dense, "adversarial", setting, "robust_accuracy"))
    if row is None:
        return False
    bound = value_of(row, "low")
    bound = value_of(row) if bound is None else bound
    return bound is None or bound <= (1 / record["classes"] if record.get("classes") else 0.0)


def list_corruptions(record: Record) -> list[str]:
    """List the corruptions, those with rows by severity, in the order of the record."""
    matches = (_SEVERITY.fullmatch(setting) for setting in _settings(record, "corruption", "accuracy"))
    return list(dict.fromkeys(match[1] for match in matches if match is not None))


def list_new_sets(record: Record) -> list[str]:
    """List the other test sets among the corruptions, such as CIFAR-10.1: they have no severities."""
    names = {"clean", "mean", *list_corruptions(record)}
    settings = _settings(record, "corruption", "accuracy")
    return [name for name in settings if name not in names and not _SEVERITY.fullmatch(name)]


def list_strangers(record: Record) -> dict[str, list[str]]:
    """List the sets of strangers with the scores that were tried on them."""
    found: dict[str, list[str]] = {}
    for setting in _settings(record, "out_of_distribution", "auroc"):
        name, _, score = setting.rpartition(" ")
        found.setdefault(name, []).append(score)
    return found


def list_bins(record: Record, method: str) -> list[Row]:
    """List the bins of confidence of a network as trained, without the empty ones; edges are low and high."""
    bins = (record.get("reliability") or {}).get(method) or ()
    return [
        {**row, "low": row.get("low", row.get("from")), "high": row.get("high", row.get("to"))}
        for row in bins
        if row["count"] and row.get("setting", "as trained") == "as trained"
    ]


def choose_score(scores: list[str]) -> str:
    """Return the score of the headline: energy, or else the first."""
    return "energy" if "energy" in scores else scores[0]


def _look_of_network(method: str, reference: str) -> Look:
    if method == "dense":
        return Look("Dense network", DENSE_COLOUR, "circle")
    if method == reference:
        return Look(f"Dense, of {look_of(method.removesuffix('_dense')).label}", DENSE_COLOUR, "square-open")
    look = look_of(method)
    return Look(LABELS.get(method, look.label), look.colour, look.symbol)


def _settings(record: Record, family: str, metric: str) -> list[str]:
    rows = record.get("rows") or ()
    found = (str(row["setting"]) for row in rows if (row["family"], row["metric"]) == (family, metric))
    return list(dict.fromkeys(found))
