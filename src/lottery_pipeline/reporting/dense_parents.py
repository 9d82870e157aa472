"""The dense parents of the leaderboard's rows: which there are, and which rows have an older one."""

from collections.abc import Mapping, Sequence
from typing import Any

from lottery_pipeline.reporting.networks import name_network


def list_own_parents(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the dense parents of tickets with a network of their own, each once, with their name."""
    parents = {str(row["dense_fingerprint"]): row for row in rows if row["is_own"]}
    return [{**row, "name": name_network(row)} for row in parents.values()]


def find_stale(rows: Sequence[Mapping[str, Any]], dense: Mapping[str, Any] | None) -> list[str]:
    """Name the runs whose dense parent is not the current dense run (it was trained again since).

    Whether a method with a network of its own is up to date cannot be seen here.
    """
    if dense is None:
        return []
    # Dense runs of earlier versions do not say their fingerprint.
    column, key = ("dense_accuracy", "test_accuracy")
    if "fingerprint" in dense:
        column, key = ("dense_fingerprint", "fingerprint")
    return [row["label"] for row in rows if not row["is_own"] and row[column] != dense[key]]


def find_dense_fingerprint(rows: Sequence[Mapping[str, Any]], dense: Mapping[str, Any] | None) -> str | None:
    """Return the fingerprint of the dense run; if it does not say its own, the one that all rows share."""
    shared = [row["dense_fingerprint"] for row in rows if not row["is_own"]]
    known = {fingerprint for fingerprint in shared if isinstance(fingerprint, str)}
    single = known.pop() if len(known) == 1 and not find_stale(rows, dense) else None
    return (dense or {}).get("fingerprint", single)
