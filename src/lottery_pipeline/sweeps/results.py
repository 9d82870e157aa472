"""What a point has found, as flat rows: its tickets, and the rungs of their ladders."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lottery_pipeline.datasets.left_out import LeftOut
from lottery_pipeline.datasets.stored_results import StoredResultsDataset
from lottery_pipeline.reproducibility.measured import flatten_record

Row = dict[str, Any]
TICKET, RUNG = "ticket", "rung"
_STARTS = {"lth": "initial", "ltr": "rewind"}  # these have no option for it


def collect_rows(folder: Path, parameters: Mapping[str, Any], blocks: Mapping[str, None]) -> list[Row]:
    """Read the records of a point.

    Args:
        folder: of the records.
        parameters: of the run.
        blocks: those that the run has made; others are older.

    Returns:
        A row for each ticket (``kind`` is ``ticket``), and for each rung above it that its search has
        trained (``rung``). Values are scalars.
    """
    rows: list[Row] = []
    for name, read in StoredResultsDataset(filepath=str(folder)).load().items():
        record = read() if name in blocks else None
        if record is None or isinstance(record, LeftOut) or "metrics" not in record:
            continue
        metrics = _keep_scalars(flatten_record(record["metrics"]))
        start = _STARTS.get(name) or parameters.get(name, {}).get("extraction", {}).get("start")
        own = {**metrics, "method": name, "start": start}
        rows.append({"kind": TICKET, "rung": None, **own})
        rows += _list_rungs(record.get("ladder_table", ()), own)
    return rows


def _list_rungs(table: Any, ticket: Row) -> Iterator[Row]:
    """Yield the rungs between the dense network and the ticket itself."""
    same = ("method", "start", "seed", "prunable", "dense_accuracy", "metric", "model", "dense_fingerprint")
    spent = {"search_epochs": 0.0, "search_seconds": 0.0}
    for row in table:
        scalars = _keep_scalars(row)
        if row["kept"] not in (row["prunable"], ticket["kept"]):
            yield {
                "kind": RUNG,
                **{key: ticket[key] for key in same if key in ticket},
                **scalars,
                "accuracy_delta": row["test_accuracy"] - ticket["dense_accuracy"],
                "train_epochs": row.get("epochs"),
                "train_seconds": row.get("seconds"),
                **spent,
            }
        for unit in ("epochs", "seconds"):
            spent[f"search_{unit}"] += row.get(unit) or 0.0


def _keep_scalars(record: Mapping[str, Any]) -> Row:
    return {
        key: value
        for key, value in record.items()
        if value is None or isinstance(value, bool | int | float | str)
    }
