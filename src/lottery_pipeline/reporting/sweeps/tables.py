"""The rows of the sweep page's tables, ready for the template."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lottery_pipeline.reporting.palette import look_of
from lottery_pipeline.reporting.sweeps.cells import FRONTS, UNDECIDED, WINNING, drop_covered
from lottery_pipeline.reporting.sweeps.differences import FIRST, METHOD, SECOND
from lottery_pipeline.reporting.sweeps.rows import AXIS, PIPELINES, list_records
from lottery_pipeline.reporting.sweeps.series import list_varying, name_axes, name_axis, print_p, print_range

MOST_ROWS = 400  # of a table on the page; the files beside it have all
TONES = {WINNING: "good", UNDECIDED: "note"}
MOST_WORDS = 500

Rows = list[dict[str, Any]]


def describe_cells(cells: pd.DataFrame) -> Rows:
    """List tickets, and rungs of a density that was asked for, with ``label``, ``setting`` and intervals."""
    shown = drop_covered(cells)
    asked = shown[(shown["kind"] == "ticket") | shown["density_asked"].notna()]
    return _describe(asked, list_varying(shown))


def describe_front(cells: pd.DataFrame) -> Rows:
    """List what is on one of the two fronts."""
    shown = drop_covered(cells)
    return _describe(shown[shown[list(FRONTS)].any(axis=1)], list_varying(shown))


def describe_differences(differences: pd.DataFrame) -> list[dict[str, Any]]:
    """List the comparisons by what is compared.

    Returns:
        ``title``, ``rows``, how ``many`` there are, and whether any ``has_where``.
    """
    found = []
    for over, family in differences.groupby("over", sort=False):
        rows = [_describe_difference(row) for row in list_records(family.head(MOST_ROWS))]
        found.append(
            {
                "title": "Methods" if over == METHOD else f"Values of {name_axis(str(over))}",
                "many": len(family),
                "rows": rows,
                "has_where": any(row["where"] for row in rows),
            }
        )
    return found


def describe_unfinished(points: Sequence[Mapping[str, Any]]) -> Rows:
    """List the points that have no result, those that failed first."""
    order = ("failed", "damaged", "stale", "running", "missing")
    found = [point for state in order for point in points if point["state"] == state]
    return [
        {name: point[name] for name in ("key", "state", "attempts")}
        | {"error": str(point["error"])[:MOST_WORDS]}
        for point in found
    ]


def _describe(cells: pd.DataFrame, axes: Sequence[str]) -> Rows:
    found = []
    for row in list_records(cells):
        look = look_of(str(row["method"]))
        setting = [name_axes(row, axes), "rung" if row["kind"] == "rung" else ""]
        found.append(
            {
                **row,
                "label": look.label,
                "colour": look.colour,
                "setting": ", ".join(filter(None, setting)),
                "interval": print_range(row["test_accuracy_low"], row["test_accuracy_high"]),
                "difference_interval": print_range(
                    row["difference_low"], row["difference_high"], signed=True
                ),
                "tone": TONES.get(row["verdict"], "bad"),
            }
        )
    return found


def _describe_difference(row: Mapping[str, Any]) -> dict[str, Any]:
    of_methods = row["over"] == METHOD
    sides = [look_of(row[side]).label if of_methods else row[side] for side in (FIRST, SECOND)]
    axes = [name for name in row if str(name).startswith(AXIS) and name != PIPELINES]
    shared = name_axes(row, axes)
    rungs = [
        side for side, kind in zip(sides, ("first_kind", "second_kind"), strict=True) if row[kind] == "rung"
    ]
    where = ["" if of_methods else look_of(str(row["method"])).label, shared]
    where += [f"{' and '.join(rungs)}: rung{'s' if len(rungs) > 1 else ''}"] if rungs else []
    where += ["networks of different size"] if row["first_prunable"] != row["second_prunable"] else []
    verdicts = {FIRST: f"{sides[0]} is ahead", SECOND: f"{sides[1]} is ahead"}
    return {
        **row,
        "names": f"{sides[0]} against {sides[1]}",
        "where": ", ".join(filter(None, where)),
        "interval": print_range(row["difference_low"], row["difference_high"], signed=True),
        "words": verdicts.get(row["verdict"], "one seed" if row["n"] == 1 else UNDECIDED),
        "p_text": print_p(row["p"]),
        "p_holm_text": print_p(row["p_holm"]),
        "is_shown": row["verdict"] in verdicts,
    }
