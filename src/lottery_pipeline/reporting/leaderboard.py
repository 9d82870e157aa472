"""The leaderboard: one row per run of a method, and a note where rows must not be compared."""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd

from lottery_pipeline.reproducibility.measured import flatten_record

logger = logging.getLogger(__name__)

CONTRACT_COLUMNS = (
    "method",
    "seed",
    "density",
    "kept",
    "prunable",
    "dense_accuracy",
    "test_accuracy",
    "accuracy_delta",
    "search_epochs",
    "train_epochs",
    "search_seconds",
    "train_seconds",
    "macs_dense",
    "macs_theoretical",
    "macs_executed",
    "ticket_bytes",
    "fingerprint",
)
FURTHER_COLUMNS = (
    "dense_fingerprint",
    "validation_accuracy",
    "test_loss",
    "early_stop_step",
    "parameters_dense",
    "parameters_executed",
    "search_macs",
    "train_macs",
    "latency_ms_1",
    "speedup_1",
    "latency_ms_128",
    "speedup_128",
    "peak_memory_bytes",
    "co2_grams",
)
COLUMNS = (*CONTRACT_COLUMNS, *FURTHER_COLUMNS, "dead_layers", "run", "note")


class ReportError(ValueError):
    """A record that cannot be reported."""


def build_leaderboard(metrics: Mapping[str, dict[str, Any] | None]) -> pd.DataFrame:
    """Put the metrics of all methods into one table.

    Rows are sorted by density, densest first, and within one density by test accuracy, best first, because
    accuracies are comparable only at equal density. Equal accuracies are sorted by search epochs, cheapest
    first, then by run.

    Args:
        metrics: metrics by run (the namespace, as a rule the method's name); None if a method was not run.

    Returns:
        A row per run. Columns: the contract's, in its order; further metrics; ``dead_layers`` (their number);
        ``run`` (the key); ``note``: empty, or why the row cannot be compared with the others (its dense
        parent, hence its data, model, recipe or seed, is not the one most rows have).

    Raises:
        ReportError: a record lacks a column of the contract.
    """
    rows = [_make_row(run, flatten_record(record)) for run, record in metrics.items() if record is not None]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    if table.empty:
        return table
    table["note"] = _note_strangers(table)
    ranked = table.sort_values(
        ["density", "test_accuracy", "search_epochs", "run"],
        ascending=[False, False, True, True],
        na_position="last",
        kind="stable",
    )
    return ranked.reset_index(drop=True)


def list_rows(leaderboard: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a leaderboard as records; one read from CSV has NaN for empty notes."""
    rows = [{str(key): value for key, value in row.items()} for row in leaderboard.to_dict("records")]
    return [row | {"note": row["note"] if isinstance(row["note"], str) else ""} for row in rows]


def _make_row(run: str, record: dict[str, Any]) -> dict[str, Any]:
    missing = [column for column in CONTRACT_COLUMNS if column not in record]
    if missing:
        raise ReportError(
            f"the metrics of {run!r} lack {', '.join(missing)}; "
            f"every method reports {', '.join(CONTRACT_COLUMNS)}"
        )
    row = {column: record.get(column) for column in (*CONTRACT_COLUMNS, *FURTHER_COLUMNS)}
    return row | {"dead_layers": len(record.get("dead_layers") or ()), "run": run, "note": ""}


def _note_strangers(table: pd.DataFrame) -> list[str]:
    parents = [_describe_parent(row) for row in table.to_dict("records")]
    # Counter keeps insertion order: among equally common parents, the first row's is the reference.
    reference = Counter(parents).most_common(1)[0][0]
    notes = [
        "" if parent == reference else f"not comparable: its dense parent is {parent}" for parent in parents
    ]
    strangers = [run for run, note in zip(table["run"], notes, strict=True) if note]
    if strangers:
        logger.warning(
            "Leaderboard rows %s have a different dense parent from the rest and cannot be compared with "
            "them; run these methods again on the current dense run.",
            ", ".join(strangers),
        )
    return notes


def _describe_parent(row: Mapping[Any, Any]) -> str:
    fingerprint = row["dense_fingerprint"]
    known = isinstance(fingerprint, str) and fingerprint
    return f"{fingerprint[:10] if known else 'unknown'}, D = {row['prunable']:,}"
