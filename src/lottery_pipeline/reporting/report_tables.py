"""The rows of the report's tables, ready for the template."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.columns import PROFILE_WORDS
from lottery_pipeline.reporting.networks import count_of_dense, has_own_network
from lottery_pipeline.reporting.palette import label_control, label_run, look_of

Row = Mapping[str, Any]
Tables = Mapping[str, list[dict[str, Any]] | None]


def describe_row(row: Row, dense: Row | None) -> dict[str, Any]:
    """Add to a row of the leaderboard what the page prints; ``is_own``: its network is not the common one."""
    size = row["prunable"] if dense is None else dense["prunable"]
    stands_apart = bool(row["note"]) or row["prunable"] != size
    return {
        **row,
        "label": label_run(str(row["run"]), str(row["method"])),
        "colour": look_of(str(row["method"])).colour,
        "is_own": stands_apart and has_own_network(str(row["method"])),
        "macs_share": _share(row["macs_theoretical"], row["macs_dense"]),
        "executed_share": _share(row["macs_executed"], row["macs_dense"]),
    }


def describe_ladder(run: str, table: Sequence[dict[str, Any]], rows: Sequence[Row]) -> dict[str, Any]:
    """Put the rungs of a run in order, with the accuracy of its dense parent."""
    method = next((str(row["method"]) for row in rows if row["run"] == run), run)
    ordered = sorted(table, key=lambda row: row["rung"])
    dense = next((row["dense_accuracy"] for row in rows if row["run"] == run), None)
    return {
        "label": label_run(run, method),
        "colour": look_of(method).colour,
        "rows": ordered,
        "dense": dense,
    }


def describe_controls(controls: Tables, ladders: Tables, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Put every control beside the ticket of the same run with the same number of weights."""
    described = []
    for run, table in controls.items():
        tickets = {row["kept"]: row["test_accuracy"] for row in ladders.get(run) or ()}
        tickets |= {row["kept"]: row["test_accuracy"] for row in rows if row["run"] == run}
        method = next((str(row["method"]) for row in rows if row["run"] == run), run)
        size = next((row["prunable"] for row in rows if row["run"] == run), None)
        for row in sorted(count_of_dense(table, size), key=lambda row: (-row["density"], row["control"])):
            ticket = tickets.get(row["kept"])
            described.append(
                {
                    **row,
                    "label": label_run(run, method),
                    "colour": look_of(method).colour,
                    "kind": label_control(str(row["control"])),
                    "ticket": ticket,
                    "difference": None if ticket is None else ticket - row["test_accuracy"],
                }
            )
    return described


def describe_adversarial_training(rows: Sequence[Row], dense: Row | None) -> list[dict[str, Any]]:
    """List what was trained with an adversary: validation accuracy under attack, and what it lost on the way.

    Args:
        rows: as ``describe_row`` makes them.
        dense: metrics of the dense run; None if there is none.

    Returns:
        ``label``, ``colour`` and the numbers of ``measure_robust_gap``, for each training that has them.
    """
    parent = {} if dense is None else {"label": "Dense network", "colour": look_of("dense").colour, **dense}
    names = ("robust_validation_accuracy", "robust_generalisation_gap", "robust_best_minus_last")
    return [
        {name: row[name] for name in ("label", "colour", *names)}
        for row in (parent, *rows)
        if not any(fmt.is_missing(row.get(name)) for name in names)
    ]


def describe_profile(profile: pd.DataFrame) -> dict[str, Any]:
    """Print any table about the images: heading, words and kind of its columns, and its cells."""
    named = profile if isinstance(profile.index, pd.RangeIndex) else profile.reset_index()
    rows = [
        # The first column names the row, even if the names are digits.
        [(str(first), False), *(_cell(value) for value in rest)]
        for first, *rest in named.itertuples(index=False, name=None)
    ]
    return {
        "columns": [
            (str(column).replace("_", " "), PROFILE_WORDS.get(str(column), ""), is_number)
            for column, (_, is_number) in zip(named.columns, rows[0] if rows else [], strict=False)
        ],
        "rows": rows,
    }


def _share(part: Any, whole: Any) -> float | None:
    missing = fmt.is_missing(part) or fmt.is_missing(whole) or not whole
    return None if missing else part / whole


def _cell(value: Any) -> tuple[str, bool]:
    """Print a value of an unknown table; the flag says whether it is a number (which is aligned right)."""
    if fmt.is_missing(value):
        return fmt.DASH, True
    if isinstance(value, str):
        return value, False
    if isinstance(value, bool):
        return str(value).lower(), False
    number = float(value)
    return write_number(number, 4), True
