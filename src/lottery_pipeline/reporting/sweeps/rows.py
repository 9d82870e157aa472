"""The rows of a sweep: one tidy table of all that its finished points have measured."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

AXIS = "axis_"  # in front of the name of an axis, where it names a column
SEED, DENSITY, PIPELINES = (f"{AXIS}{name}" for name in ("seed", "density", "pipelines"))
TEXTS = ("point", "experiment", "variant", "kind", "method", "metric")
NUMBERS = (
    *("rung", "seed", "density_asked", "density", "kept", "prunable"),
    *("dense_accuracy", "test_accuracy", "accuracy_delta", "validation_accuracy"),
    *("search_epochs", "train_epochs", "search_seconds", "train_seconds"),
    *("macs_dense", "macs_theoretical", "macs_executed", "ticket_bytes"),
)
COLUMNS = (*TEXTS, *NUMBERS)
# What the table of a ladder does not tell: it is that of the ticket at its end.
_OF_THE_TICKET = ("seed", "dense_accuracy", "metric", "prunable")

Point = Mapping[str, Any]


def tabulate_points(points: Sequence[Point]) -> pd.DataFrame:
    """Put the rows of all points into one table, a row for each result.

    Args:
        points: ``key``, ``experiment``, ``variant``, ``axes`` and ``rows`` of each; their order does not
            matter.

    Returns:
        ``COLUMNS`` and whatever else the rows have; the axes of the grid as ``axis_<name>``. Numbers that are
        not finite are missing. ``accuracy_delta`` is that to the row's own dense parent. ``density_asked`` is
        the density of the grid. A ticket that has no such axis has the one at which another ticket of its
        experiment keeps equally many weights of an equally large network, if there is one; a rung likewise
        that of any ticket that keeps as many.
    """
    rows = [row for point in sorted(points, key=lambda point: str(point["key"])) for row in _list_rows(point)]
    tickets = [row for row in rows if row["kind"] == "ticket"]
    asked = _find_densities(tickets, "density_asked")
    known = _find_densities(tickets, "density") | asked
    for row in rows:
        if row["density_asked"] is None:
            row["density_asked"] = (known if row["kind"] == "rung" else asked).get(_size_of(row))
    names = {name for row in rows for name in row} | set(COLUMNS)
    axes = sorted(name for name in names if name.startswith(AXIS))
    others = sorted(names.difference(COLUMNS, axes))
    return pd.DataFrame(
        {
            name: _settle([row.get(name) for row in rows], name)
            for name in (*COLUMNS[: len(TEXTS)], *axes, *NUMBERS, *others)
        }
    )


def list_axes(table: pd.DataFrame) -> list[str]:
    """Return the columns of the axes that tell cells apart: all but seed and density."""
    return [name for name in table.columns if str(name).startswith(AXIS) and name not in (SEED, DENSITY)]


def list_records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as records."""
    return [{str(name): value for name, value in record.items()} for record in table.to_dict("records")]


def name_value(value: Any) -> str:
    """Write the value of an axis, equal numbers alike: 10 and 10.0 are ``10``."""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value)


def _list_rows(point: Point) -> Iterable[dict[str, Any]]:
    axes = {f"{AXIS}{name}": _clean(value) for name, value in point["axes"].items()}
    tickets = {row["method"]: row for row in point["rows"] if row["kind"] == "ticket"}
    ordered = sorted(
        point["rows"], key=lambda row: (row["kind"] != "ticket", row["method"], row.get("rung") or 0)
    )
    for given in ordered:
        row = {str(name): _clean(value) for name, value in given.items()}
        ticket = tickets.get(row["method"], {})
        row |= {name: _clean(ticket.get(name)) for name in _OF_THE_TICKET if row.get(name) is None}
        if row["seed"] is None:
            row["seed"] = axes.get(SEED)
        test, dense = row.get("test_accuracy"), row["dense_accuracy"]
        row["accuracy_delta"] = None if test is None or dense is None else test - dense
        row["density_asked"] = axes.get(DENSITY) if row["kind"] == "ticket" else None
        place = {"point": point["key"], "experiment": point["experiment"], "variant": point["variant"]}
        yield {**row, **axes, **place}


def _find_densities(tickets: Iterable[Mapping[str, Any]], column: str) -> dict[Any, float]:
    """Return the density of every number of weights; the lowest, if several are the same number."""
    found: dict[Any, float] = {}
    for row in tickets:
        if row.get(column) is not None and row.get("kept") is not None:
            size = _size_of(row)
            found[size] = min(row[column], found.get(size, math.inf))
    return found


def _size_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["experiment"], row["prunable"], row.get("kept")


def _clean(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _settle(values: list[Any], name: str) -> pd.Series:
    """Make a column of one type: whole numbers, numbers, truth values, or else text."""
    kinds = {type(value) for value in values if value is not None}
    if name in NUMBERS or (kinds and kinds <= {int, float}):
        whole = kinds == {int} and None not in values and all(abs(value) < 2**63 for value in values)
        return pd.Series(values, dtype="int64" if whole else "float64")
    if kinds == {bool} and None not in values:
        return pd.Series(values, dtype="bool")
    texts = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    return pd.Series(texts, dtype="object")
