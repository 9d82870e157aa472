"""Which network a run belongs to: most share that of the dense run, SuperTickets have their own."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from lottery_pipeline.options import METHODS
from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.palette import label_run, look_of

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Parent:
    """The dense parent of runs that have another network than the dense run of the report.

    Attributes:
        name: for people, with its score.
        colour: of the method that was searched in it.
        accuracy: on the test images.
        macs: multiply-accumulates for one image; None if unknown.
        densities: of the runs; at least one.
    """

    name: str
    colour: str
    accuracy: float
    macs: float | None
    densities: tuple[float, ...]


def has_own_network(method: str) -> bool:
    """Tell whether a method, the last of its chain, searches in a network of its own."""
    row = METHODS.get(method.rpartition(">")[2])
    return row is not None and row.own_network


def split_by_network(
    finals: Mapping[str, dict[str, Any]], dense: Record | None = None
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Split runs into those of the common network and the others.

    The common network is that of the dense run; without one, that of most runs, and a method with a network
    of its own counts only where no other is there. Networks are told apart by D, the number of their prunable
    weights, which every record has.

    Args:
        finals: metrics by run.
        dense: metrics of the dense run.

    Returns:
        Both parts, in the given order.
    """
    common = (dense or {}).get("prunable") or _choose_common(finals)
    return (
        {run: record for run, record in finals.items() if record["prunable"] == common},
        {run: record for run, record in finals.items() if record["prunable"] != common},
    )


def list_parents(finals: Mapping[str, Record]) -> list[Parent]:
    """Return the dense parents of runs of other networks, each once."""
    by_parent: dict[tuple[Any, Any], dict[str, Record]] = {}
    for run, record in finals.items():
        key = (record.get("dense_fingerprint"), record["prunable"])
        by_parent.setdefault(key, {})[run] = record
    return [_describe_parent(runs) for runs in by_parent.values()]


def name_network(record: Record) -> str:
    """Return the network of a record and its D: ``supernet, D = 36,456``; D alone if it has no name."""
    model = record.get("model", record.get("network"))
    size = f"D = {fmt.whole(record['prunable'])}"
    return f"{model}, {size}" if isinstance(model, str) and model else size


def count_weights(record: Record) -> str:
    """Return how many weights are kept, of which network: ``3,646 of D = 36,456 (supernet)``."""
    model = record.get("model")
    text = f"{fmt.whole(record['kept'])} of D = {fmt.whole(record['prunable'])} weights"
    return f"{text} ({escape(model)})" if isinstance(model, str) and model else text


def count_of_dense(table: Iterable[Record] | None, size: int | None) -> list[dict[str, Any]]:
    """Return rungs or controls with the density of the dense parent.

    Args:
        table: those of a smaller network, such as a SuperTicket's, count the weights of that network alone.
        size: D of the dense parent; None if it is not known.
    """
    return [
        {**row, "prunable": size, "density": row["kept"] / size}
        if size and row.get("prunable", size) != size
        else dict(row)
        for row in table or ()
    ]


def name_others(others: Mapping[str, Record]) -> list[str]:
    """Say of each run that its network has no place in a figure of layers."""
    labels = (label_run(run, str(record["method"])) for run, record in others.items())
    return [f"{escape(label)}: another network, not shown" for label in labels]


def _choose_common(finals: Mapping[str, Record]) -> Any:
    ordinary = [r["prunable"] for r in finals.values() if not has_own_network(str(r["method"]))]
    counts = Counter(ordinary or [record["prunable"] for record in finals.values()])
    return counts.most_common(1)[0][0] if counts else None


def _describe_parent(runs: Mapping[str, Record]) -> Parent:
    first = next(iter(runs.values()))
    model = first.get("model")
    labels = ", ".join(label_run(run, str(record["method"])) for run, record in runs.items())
    kind = model if isinstance(model, str) and model else "network"
    return Parent(
        name=f"Dense {escape(kind)} of {escape(labels)}, {fmt.percent(first['dense_accuracy'])}",
        colour=look_of(str(first["method"])).colour,
        accuracy=first["dense_accuracy"],
        macs=first.get("macs_dense"),
        densities=tuple(float(record["density"]) for record in runs.values()),
    )
