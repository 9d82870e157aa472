"""Differences between the cells of a sweep, paired by seed, with p-values that stay honest together."""

from collections.abc import Iterator
from itertools import combinations, islice
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lottery_pipeline.options import METHODS
from lottery_pipeline.reporting.sweeps.cells import UNDECIDED, average_seeds, drop_covered, summarise_cells
from lottery_pipeline.reporting.sweeps.rows import AXIS, PIPELINES, list_axes, name_value
from lottery_pipeline.statistics.moments import t_bounds, t_test
from lottery_pipeline.statistics.multiple_tests import holm_by_family

METHOD = "method"
FIRST, SECOND = "first", "second"  # verdicts: which of the two is more accurate
LEVEL = 0.05  # of the adjusted p-values
MOST_PAIRS = 20_000  # of one family; more would be a table that nobody reads, and take minutes
MOST_TRIED = 2_000_000  # pairs of cells that are looked at to find those
_ORDER = {name: place for place, name in enumerate(METHODS)}


class Family(NamedTuple):
    """Comparisons that are judged together.

    Attributes:
        experiment: of both sides.
        over: what differs: ``method``, or the name of an axis such as ``start``.
        pairs: rows of the cells by their index, first and second; None if there are too many.
    """

    experiment: str
    over: str
    pairs: list[tuple[Any, Any]] | None


def compare_cells(rows: pd.DataFrame) -> pd.DataFrame:
    """Compare every two methods, and every two values of an axis, where all else is equal.

    Methods compare at the same experiment and density, and at the same axes, as far as both have them: an
    axis of one method alone does not matter. Values of an axis compare within one method. A rung of a density
    that was asked for stands in where its method has no ticket of that density; others do not compare.

    Args:
        rows: as ``tabulate_points`` makes them; their order does not matter.

    Returns:
        A row for each comparison: ``experiment``; ``over``, what differs; ``method``, if that is an axis;
        ``first`` and ``second``, with their kind and D; the ``density`` and axes that both have; ``n`` seeds
        that both have; ``difference``, the mean of first minus second in test accuracy, with its 95 %
        t-interval; ``p`` of the paired t-test; ``p_holm``, adjusted within its ``over`` and experiment;
        ``verdict``: ``first`` or ``second``, whichever is more accurate by the adjusted p-value, or
        ``undecided``.
    """
    cells = summarise_cells(rows)
    axes, records = list_axes(cells), cells.to_dict("index")
    pairs = [
        _describe(family, records[first], records[second], axes)
        for family in list_families(cells)
        for first, second in family.pairs or ()
    ]
    columns = ["experiment", "over", "method", FIRST, SECOND, "first_kind", "second_kind"]
    columns += ["first_prunable", "second_prunable", "density", *axes]
    found = pd.DataFrame(pairs, columns=[*columns, "metric", "first_cell", "second_cell"])
    differences = _subtract(average_seeds(rows), found)
    moments = differences.groupby("pair")["difference"].agg(["count", "mean", "std"]).reindex(found.index)
    n, mean, deviation = (moments[name].to_numpy(dtype=float) for name in ("count", "mean", "std"))
    found["n"], found["difference"] = np.nan_to_num(n).astype("int64"), mean
    found["difference_low"], found["difference_high"] = t_bounds(mean, deviation, n)
    found["p"] = t_test(mean, deviation, n)
    families = list(zip(found["experiment"], found["over"], strict=True))
    found["p_holm"] = holm_by_family(found["p"].tolist(), families)
    found["verdict"] = [
        UNDECIDED if not p < LEVEL else FIRST if difference > 0 else SECOND
        for p, difference in zip(found["p_holm"], found["difference"], strict=True)
    ]
    return found.drop(columns=["first_cell", "second_cell"])


def list_families(cells: pd.DataFrame) -> list[Family]:
    """Return which cells compare.

    Args:
        cells: as ``summarise_cells`` makes them.

    Returns:
        The families that have anything to compare, those of methods first.
    """
    usable = drop_covered(cells)
    usable = usable[(usable["kind"] == "ticket") | usable["density_asked"].notna()]
    axes = list_axes(cells)
    families = []
    for experiment, own in usable.groupby("experiment", sort=True):
        for over in (METHOD, *axes):
            groups = _group_by_density(own, axes) if over == METHOD else _group_by_rest(own, over, axes)
            pairs = _pair_methods(groups, axes) if over == METHOD else _pair_values(groups, over)
            tried = sum(len(group) * (len(group) - 1) // 2 for group in groups)
            found = list(islice(pairs, MOST_PAIRS + 1)) if tried <= MOST_TRIED else None
            if found is None or found:
                usable_pairs = found if found and len(found) <= MOST_PAIRS else None
                families.append(Family(str(experiment), over.removeprefix(AXIS), usable_pairs))
    return families


def _group_by_density(cells: pd.DataFrame, axes: list[str]) -> list[pd.DataFrame]:
    """Group cells of one density, that which was asked for or which all seeds have kept, and of equal axes.

    Axes that some cells of an equal density lack are left to whoever pairs them.
    """
    found = cells["density"].where((cells["kind"] == "ticket") & ~cells["kept_varies"])
    density = cells["density_asked"].fillna(found).round(12)
    found_groups = []
    for _, group in cells.groupby(-density, sort=True):
        whole = [name for name in axes if name != PIPELINES and group[name].notna().all()]
        found_groups += [part for _, part in group.groupby(whole, sort=True)] if whole else [group]
    return found_groups


def _group_by_rest(cells: pd.DataFrame, axis: str, axes: list[str]) -> list[pd.DataFrame]:
    """Group cells that differ in nothing but one axis."""
    there = cells[cells[axis].notna()]
    keys = [-there["density_asked"], "method", "kind", *(name for name in axes if name != axis)]
    return [group for _, group in there.groupby(keys, dropna=False, sort=True) if len(group) > 1]


def _pair_methods(groups: list[pd.DataFrame], axes: list[str]) -> Iterator[tuple[Any, Any]]:
    shared = [name for name in axes if name != PIPELINES]
    for group in groups:
        records = group[["method", *shared]].to_dict("index")
        ordered = sorted(records, key=lambda index: _rank(str(records[index]["method"])))
        for first, second in combinations(ordered, 2):
            ours, theirs = records[first], records[second]
            if ours["method"] != theirs["method"] and all(
                pd.isna(ours[name]) or pd.isna(theirs[name]) or ours[name] == theirs[name] for name in shared
            ):
                yield first, second


def _pair_values(groups: list[pd.DataFrame], axis: str) -> Iterator[tuple[Any, Any]]:
    for group in groups:
        yield from combinations(group.sort_values(axis, kind="stable").index, 2)


def _rank(method: str) -> tuple[int, str]:
    return _ORDER.get(method, len(_ORDER)), method


def _describe(
    family: Family, first: dict[Any, Any], second: dict[Any, Any], axes: list[str]
) -> dict[str, Any]:
    axis = f"{AXIS}{family.over}"
    of_methods = family.over == METHOD
    shared = {name: second[name] if pd.isna(first[name]) else first[name] for name in axes if name != axis}
    if of_methods:
        shared.pop(PIPELINES, None)
    asked = first["density"] if pd.isna(first["density_asked"]) else first["density_asked"]
    return {
        "experiment": family.experiment,
        "over": family.over,
        "method": None if of_methods else first["method"],
        FIRST: first["method"] if of_methods else name_value(first[axis]),
        SECOND: second["method"] if of_methods else name_value(second[axis]),
        "first_kind": first["kind"],
        "second_kind": second["kind"],
        "first_prunable": first["prunable"],
        "second_prunable": second["prunable"],
        "density": asked,
        **shared,
        "metric": first["metric"],
        "first_cell": first["cell"],
        "second_cell": second["cell"],
    }


def _subtract(seeds: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the difference of every pair for every seed that both sides have."""
    known = seeds.loc[seeds["test_accuracy"].notna(), ["cell", "seed", "test_accuracy"]]
    named = pairs[["first_cell", "second_cell"]].astype("int64").reset_index(names="pair")
    first = named.merge(known, left_on="first_cell", right_on="cell")[
        ["pair", "second_cell", "seed", "test_accuracy"]
    ]
    both = first.merge(
        known, left_on=["second_cell", "seed"], right_on=["cell", "seed"], suffixes=("", "_second")
    )
    both = both.sort_values(["pair", "seed"], kind="stable")
    return both.assign(difference=both["test_accuracy"] - both["test_accuracy_second"])
