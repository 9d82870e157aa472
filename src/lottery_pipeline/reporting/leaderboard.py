"""The leaderboard: one row per run of a method, and a note where rows must not be compared."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lottery_pipeline.reporting.networks import has_own_network, name_network
from lottery_pipeline.reporting.ranking import rank
from lottery_pipeline.reporting.uncertainty import find_test_interval
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
    "test_accuracy_low",
    "test_accuracy_high",
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
    "found_accuracy",
    "metric",
    "robust_validation_accuracy",
    "robust_generalisation_gap",
    "robust_best_minus_last",
)
COLUMNS = (*CONTRACT_COLUMNS, *FURTHER_COLUMNS, "network", "dead_layers", "run", "note")


class ReportError(ValueError):
    """A record that cannot be reported."""


def build_leaderboard(metrics: Mapping[str, dict[str, Any] | None]) -> pd.DataFrame:
    """Put the metrics of all methods into one table.

    Rows are sorted by density, densest first, because accuracies are comparable only at equal density, and
    within one density as ``rank`` says: by validation accuracy, best first. The test images choose nothing.

    Args:
        metrics: metrics by run (the namespace, as a rule the method's name); None if a method was not run.

    Returns:
        A row per run. Columns: the contract's, in its order; further metrics; ``test_accuracy_low`` and
        ``test_accuracy_high``, a 95 % interval over the choice of test images; ``network`` (``model`` of the
        metrics); ``dead_layers`` (their number); ``run`` (the key); ``note``: empty, or why the row cannot
        be compared with the others (its dense parent, hence its data, model, recipe or seed, is not the one
        most rows have; a method with a network of its own has another by design).

    Raises:
        ReportError: a record lacks a column of the contract.
    """
    rows = [_make_row(run, flatten_record(record)) for run, record in metrics.items() if record is not None]
    if rows:
        for row, note in zip(rows, _note_strangers(rows), strict=True):
            row["note"] = note
    ranked = sorted(rows, key=lambda row: (-row["density"], *rank(row, str(row["run"]))))
    return pd.DataFrame(ranked, columns=list(COLUMNS))


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
    interval = find_test_interval(record)
    ends = (
        {} if interval is None else {"test_accuracy_low": interval.low, "test_accuracy_high": interval.high}
    )
    row = {column: (record | ends).get(column) for column in (*CONTRACT_COLUMNS, *FURTHER_COLUMNS)}
    dead = len(record.get("dead_layers") or ())
    return row | {"network": record.get("model"), "dead_layers": dead, "run": run, "note": ""}


def _note_strangers(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    own = [has_own_network(str(row["method"])) for row in rows]
    parents = [_describe_parent(row) for row in rows]
    ordinary = [parent for parent, is_own in zip(parents, own, strict=True) if not is_own]
    # Counter keeps insertion order: among equally common parents, the first row's is the reference.
    reference = Counter(ordinary or parents).most_common(1)[0][0]
    notes = [
        "" if parent == reference else _word_note(row) for row, parent in zip(rows, parents, strict=True)
    ]
    strangers = [
        row["run"] for row, note, is_own in zip(rows, notes, own, strict=True) if note and not is_own
    ]
    if strangers:
        logger.warning(
            "Leaderboard rows %s have a different dense parent from the rest and cannot be compared with "
            "them; run these methods again on the current dense run.",
            ", ".join(strangers),
        )
    return notes


def _word_note(row: Mapping[str, Any]) -> str:
    if has_own_network(str(row["method"])):
        return f"a network of its own: {name_network(row)}"
    return f"not comparable: its dense parent is {_describe_parent(row)}"


def _describe_parent(row: Mapping[str, Any]) -> str:
    fingerprint = row["dense_fingerprint"]
    known = isinstance(fingerprint, str) and fingerprint
    return f"{fingerprint[:10] if known else 'unknown'}, D = {row['prunable']:,}"
