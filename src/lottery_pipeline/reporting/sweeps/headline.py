"""The headline of a sweep: which kind of ticket is ahead at the density that most have, and how surely."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.metric import ACCURACY, put_metric
from lottery_pipeline.reporting.networks import has_own_network
from lottery_pipeline.reporting.sweeps.differences import FIRST, LEVEL, METHOD, SECOND
from lottery_pipeline.reporting.sweeps.rows import AXIS, list_records, name_value
from lottery_pipeline.reporting.sweeps.series import name_cell, print_p, print_range

Cell = Mapping[str, Any]


def word_headline(
    cells: pd.DataFrame, differences: pd.DataFrame, axes: Sequence[str], experiment: str
) -> str:
    """Say in one or two sentences what the density with most methods shows.

    Args:
        cells: tickets of one experiment, with at least one score each.
        differences: as ``compare_cells`` makes them.
        axes: in which cells differ, beside the method.
        experiment: its name, if the sweep has several.
    """
    density = cells["density_asked"].fillna(cells["density"].where(~cells["kept_varies"])).round(12)
    counts = cells.groupby(density)["method"].nunique()
    if counts.empty:
        rivals, start = cells, "Where every seed kept another number of weights"
    else:
        chosen = float(counts[counts == counts.max()].index.min())
        rivals, start = cells[density == chosen], f"With {fmt.density(chosen)} of the weights"
        # A network of its own is no rival on equal terms.
        shared = ~rivals["method"].map(has_own_network).astype(bool)
        rivals = rivals[shared] if shared.any() else rivals
    start = f"On {experiment}, {start[0].lower()}{start[1:]}" if experiment else start
    metric = next((name for name in rivals["metric"] if isinstance(name, str)), ACCURACY)
    ranked = list_records(rivals.sort_values("validation_accuracy", ascending=False, kind="stable"))
    names = [name_cell(row, axes) for row in ranked]
    if len(ranked) == 1:
        sentence = f"{start}, {names[0]} reaches {_print(ranked[0])}{_against_dense(ranked[0])}."
    elif rivals["validation_accuracy"].isna().any():
        sentence = (
            f"{start}, {len(ranked)} kinds of ticket were measured. None is called the best, because "
            "there are no validation images to choose by."
        )
    else:
        sentence = (
            f"{start}, {names[0]} has the highest validation accuracy; on the test images it reaches "
            f"{_print(ranked[0])}. {_compare(ranked[0], ranked[1], names[1], differences)}"
        )
    return put_metric(sentence, metric)


def _print(cell: Cell) -> str:
    """Print a mean with what it is the mean of."""
    seeds = "one seed" if cell["n"] == 1 else f"mean of {cell['n']} seeds"
    interval = print_range(cell["test_accuracy_low"], cell["test_accuracy_high"])
    return f"{fmt.percent(cell['test_accuracy'])} ({seeds}{f', 95% interval {interval}' if interval else ''})"


def _against_dense(cell: Cell) -> str:
    if fmt.is_missing(cell["dense_accuracy"]):
        return ""
    parents = "its dense parent reaches" if cell["n"] == 1 else "its dense parents reach"
    return f"; {parents} {fmt.percent(cell['dense_accuracy'])}"


def _compare(best: Cell, other: Cell, name: str, differences: pd.DataFrame) -> str:
    """Say how far the best is ahead of the next, and whether that is more than chance."""
    row, sign = _find_difference(best, other, differences)
    if row is None or row["n"] == 0:
        return f"Its difference to {name}, the next, was not tested."
    difference = sign * row["difference"]
    shown = f"{fmt.points(difference)} points"
    if row["n"] == 1:
        return f"The next is {name}; the difference, {shown}, is of one seed and shows nothing."
    low, high = sorted(sign * row[f"difference_{end}"] for end in ("low", "high"))
    interval = f"95% interval {print_range(low, high, signed=True)}"
    if row["verdict"] not in (FIRST, SECOND):
        return f"Its difference to {name}, the next, is {shown} ({interval}): {_doubt(row, differences)}."
    ahead = "ahead of" if difference > 0 else "behind"
    p = _equate(row["p_holm"])
    return f"It is {ahead} {name}, the next, by {shown[1:]} ({interval}, Holm p {p})."


def _doubt(row: Cell, differences: pd.DataFrame) -> str:
    """Say why a difference is not shown: by itself, or among so many comparisons."""
    if fmt.is_missing(row["p"]) or row["p"] >= LEVEL:
        return "chance may explain it"
    alike = (differences["experiment"] == row["experiment"]) & (differences["over"] == row["over"])
    many = int(differences.loc[alike, "p"].notna().sum())
    return f"among {many} comparisons, chance may explain it (Holm p {_equate(row['p_holm'])})"


def _equate(p: float) -> str:
    return text if (text := print_p(p)).startswith("<") else f"= {text}"


def _find_difference(best: Cell, other: Cell, differences: pd.DataFrame) -> tuple[Any, int]:
    """Return the comparison of two cells and whether it is first minus second (1) or the reverse (-1)."""
    axes = [name for name in best if str(name).startswith(AXIS) and name in differences]
    for row in list_records(differences[differences["experiment"] == best["experiment"]]):
        axis = f"{AXIS}{row['over']}"
        of_methods = row["over"] == METHOD
        key = "method" if of_methods else axis
        for first, second, sign in ((best, other, 1), (other, best, -1)):
            if (
                (of_methods or row["method"] == best["method"] == other["method"])
                and (row[FIRST], row[SECOND]) == (name_value(first[key]), name_value(second[key]))
                and any(
                    _is_close(row["density"], cell[name])
                    for cell in (best,)
                    for name in ("density_asked", "density")
                )
                and all(
                    _fits(row[name], cell[name]) for name in axes if name != axis for cell in (best, other)
                )
            ):
                return row, sign
    return None, 1


def _fits(shared: Any, own: Any) -> bool:
    return fmt.is_missing(shared) or fmt.is_missing(own) or shared == own


def _is_close(first: float, second: float) -> bool:
    return abs(first - second) < 1e-9
