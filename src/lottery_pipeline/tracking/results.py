"""What of a record is a tag, a parameter, a metric, a table or a curve in MLflow."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from lottery_pipeline.options import COMPOSITIONS, METHODS
from lottery_pipeline.reporting.ranking import pick_density, rank
from lottery_pipeline.reproducibility.measured import flatten_record
from lottery_pipeline.tracking.curves import is_number

if TYPE_CHECKING:
    from kedro.pipeline import Pipeline

Row = dict[str, Any]
# Lists of rows are tables of their name, but for these.
TABLES = {
    "ladder_table": "tables/ladder",
    "classes": "evaluation/classes",
    "confusion": "evaluation/confusion",
}


@dataclass(frozen=True)
class Results:
    """A record as MLflow keeps it.

    Attributes:
        tags: what identifies the result, and the verdict on who owns a ticket.
        parameters: numbers that no method of a run changes, and how it was computed (``arithmetic.``).
        metrics: what was achieved, and at what cost.
        tables: rows by artifact path.
        rows: all that was reported on the way, in order: part and row.
    """

    tags: dict[str, str]
    parameters: dict[str, str]
    metrics: dict[str, float]
    tables: dict[str, list[Row]]
    rows: list[tuple[str, Row]]


def sort_record(record: Mapping[str, Any], *, dense: bool = False) -> Results:
    """Sort what is in a record.

    Args:
        record: of a block, or of the dense run.
        dense: whether it is the latter's. Its names then begin with ``dense_`` (``dense_accuracy``), because
            the run that holds it is not a method.
    """
    flat = flatten_record(record.get("metrics", {}))
    numbers = {name: value for name, value in flat.items() if is_number(value)}
    constants = {name for name in numbers if name in ("seed", "prunable") or "dense" in name.split("_")}
    metrics = {name: float(numbers[name]) for name in numbers if name not in constants}
    tags = {str(name): flat[name] for name in ("fingerprint", "dense_fingerprint", "verdict") if name in flat}
    if "method" in flat:
        tags |= {"chain": flat["method"], "method": flat["method"].rpartition(">")[2]}
    if "dead_layers" in flat:
        metrics["dead_layers"] = float(len(flat["dead_layers"]))
    if dense:
        accuracy = {"dense_accuracy": metrics.pop("test_accuracy")}
        metrics = accuracy | {f"dense_{name}": value for name, value in metrics.items()}
        tags = {f"dense_{name}": value for name, value in tags.items()}
    arithmetic = record.get("arithmetic") or flat.get("arithmetic") or {}
    parameters = {name: str(numbers[name]) for name in sorted(constants)}
    parameters |= {f"arithmetic.{name}": str(value) for name, value in arithmetic.items()}
    trace = [(f"round_{row.get('round', 1):02d}", row) for row in record.get("trace", []) if "step" in row]
    parts = {"ladder_table": "ladder", "controls": "controls", "history": "dense" if dense else "training"}
    rows = trace + [(part, row) for name, part in parts.items() for row in record.get(name, [])]
    tables = {
        f"{TABLES.get(name, f'tables/{name}')}.json": value
        for name, value in {**flat, **record}.items()
        if isinstance(value, list) and value and isinstance(value[0], Mapping) and "step" not in value[0]
    }
    return Results(tags, parameters, metrics, tables, rows)


def name_chain(block: str) -> dict[str, str]:
    """Return the tags by which the run of a method is found while it computes; none for other blocks."""
    if block in COMPOSITIONS:
        parent, method = COMPOSITIONS[block]
        return {"chain": f"{parent}>{method.name}", "method": method.name}
    return {"chain": block, "method": block} if block in METHODS else {}


def find_parameters(pipeline: "Pipeline") -> dict[str, set[str]]:
    """Return the parameters that each block with a record shows, and under "" those that hold for all.

    A block shows what its nodes are given, and what the images and the dense run were made with.
    """
    blocks = {name.removesuffix(".record") for name in pipeline.all_outputs() if name.endswith(".record")}
    found: dict[str, set[str]] = {name: set() for name in ("", *blocks)}
    for node in pipeline.nodes:
        given = {name.removeprefix("params:") for name in node.inputs if name.startswith("params:")}
        given.discard("work")  # paths
        found[""] |= {name for name in given if name.partition(".")[0] not in blocks}
        for block in blocks:
            if node.namespace in (block, "data_preparation", "dense_pretraining"):
                found[block] |= given
    return found


def select_parameters(names: Iterable[str], parameters: Mapping[str, Any], block: str = "") -> dict[str, str]:
    """Return parameters flat, those of a block without its name.

    So ``ltr.extraction.density`` and ``cts.extraction.density`` are one column in which methods compare.

    Args:
        names: of groups, or dotted names of what is in them.
        parameters: all of the run, nested.
        block: its name, if they are a block's.
    """
    import pandas

    chosen = {name: reduce(lambda group, key: group[key], name.split("."), parameters) for name in names}
    flat = pandas.json_normalize(chosen, sep=".").to_dict("records")[0] if chosen else {}
    return {str(name).removeprefix(f"{block}."): str(flat[name]) for name in flat}


def pick_winner(metrics: Mapping[str, Mapping[str, float]]) -> str | None:
    """Return the best block, as the report ranks tickets; test images choose nothing.

    Args:
        metrics: by block.

    Returns:
        The block; None if none has a validation accuracy.
    """
    known = {block: found for block, found in metrics.items() if "validation_accuracy" in found}
    if not known:
        return None
    density = pick_density(known.values())
    rivals = [block for block, found in known.items() if found["density"] == density]
    return min(rivals, key=lambda block: rank(known[block], block))
