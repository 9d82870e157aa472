"""What a sweep shows, in words: sentences that claim no more than the intervals support."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.findings import Finding, Findings
from lottery_pipeline.reporting.metric import ACCURACY, put_metric
from lottery_pipeline.reporting.networks import has_own_network
from lottery_pipeline.reporting.sweeps.cells import WINNING, drop_covered
from lottery_pipeline.reporting.sweeps.differences import (
    FIRST,
    LEVEL,
    METHOD,
    MOST_PAIRS,
    SECOND,
    list_families,
)
from lottery_pipeline.reporting.sweeps.rows import AXIS, list_records, name_value
from lottery_pipeline.reporting.sweeps.series import (
    list_varying,
    name_axis,
    name_cell,
    print_p,
    print_range,
)

NOTHING = "No point of this sweep has a result yet."
Cell = Mapping[str, Any]


def find_findings(
    cells: pd.DataFrame, differences: pd.DataFrame, states: Mapping[str, int], *, margin: float
) -> Findings:
    """Say what cells and differences show.

    The headline is about the density at which most methods were measured (the lowest in a tie). The method
    that it names first is the one with the highest mean validation accuracy; the test images choose nothing.

    Args:
        cells: as ``summarise_cells`` makes them.
        differences: as ``compare_cells`` makes them.
        states: how many points there are in each state.
        margin: xi of the verdicts.
    """
    known = cells[(cells["kind"] == "ticket") & (cells["n"] > 0)]
    if known.empty:
        return Findings(NOTHING, None, list(_describe_states(states)))
    axes = list_varying(drop_covered(cells))
    # The experiment with most cells comes first.
    experiments = list(known["experiment"].value_counts(sort=True).index)
    named = len(experiments) > 1
    worded = [
        _word(known[known["experiment"] == name], differences, axes, name if named else "")
        for name in experiments
    ]
    sentences = [Finding("note", sentence) for sentence in worded[1:]]
    sentences += _list_winning(cells, axes, margin)
    sentences += _count_differences(differences)
    sentences += _name_crowded(cells)
    sentences += _count_seeds(known)
    sentences += _describe_states(states)
    return Findings(worded[0], None, sentences)


def _word(cells: pd.DataFrame, differences: pd.DataFrame, axes: Sequence[str], experiment: str) -> str:
    """Say in one or two sentences what the density with most methods shows, for one experiment."""
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


def _list_winning(cells: pd.DataFrame, axes: Sequence[str], margin: float) -> Iterator[Finding]:
    """Name the lowest density at which each kind of ticket is shown to be as good as its dense parent."""
    judged = drop_covered(cells)
    asked = (judged["kind"] == "ticket") | judged["density_asked"].notna()
    judged = judged[asked & (judged["n"] > 1) & (judged["density"] < 1)]
    lowest: dict[str, float] = {}
    for row in list_records(judged):
        several = cells["experiment"].nunique() > 1
        name = name_cell(row, axes) + (f" on {row['experiment']}" if several else "")
        lowest.setdefault(name, float("inf"))
        if row["verdict"] == WINNING:
            lowest[name] = min(lowest[name], row["density"])
    won = {name: density for name, density in lowest.items() if density < float("inf")}
    points = f"{fmt.number(100 * margin)} point{'' if margin == 0.01 else 's'}"
    if won:
        listed = ", ".join(f"{name} {fmt.density(density)}" for name, density in won.items())
        yield Finding(
            "good",
            f"Lowest density that is shown to lose less than {points} to its own dense parent: {listed}.",
        )
    if lost := [name for name in lowest if name not in won]:
        yield Finding(
            "even",
            f"Not shown at any density: {', '.join(lost)}."
            if won
            else (f"No kind of ticket is shown to lose less than {points} to its own dense parent."),
        )


def _count_differences(differences: pd.DataFrame) -> Iterator[Finding]:
    tested = differences[differences["p_holm"].notna()]
    for (experiment, over), family in tested.groupby(["experiment", "over"], sort=False):
        shown = int(family["verdict"].isin([FIRST, SECOND]).sum())
        what = "methods" if over == METHOD else f"values of {name_axis(str(over))}"
        where = f" on {experiment}" if differences["experiment"].nunique() > 1 else ""
        many = "One comparison" if len(family) == 1 else f"Of {len(family)} comparisons"
        shows = "shows" if shown < 2 else "show"
        found = f", {shown or 'none'} {shows}" if len(family) > 1 else " shows" if shown else " does not show"
        yield Finding("note", f"{many} between {what}{where}{found} a difference after Holm’s correction.")


def _name_crowded(cells: pd.DataFrame) -> Iterator[Finding]:
    for family in list_families(cells):
        if family.pairs is None:
            what = "methods" if family.over == METHOD else f"values of {name_axis(family.over)}"
            yield Finding("note", f"The {what} are not compared: there are more than {MOST_PAIRS:,} pairs.")


def _count_seeds(cells: pd.DataFrame) -> Iterator[Finding]:
    least, most = int(cells["n"].min()), int(cells["n"].max())
    if most == 1:
        yield Finding(
            "note", "One seed: there are no intervals, and differences between tickets may be chance alone."
        )
    elif least == 1:
        single = int((cells["n"] == 1).sum())
        of = "is" if single == 1 else "are"
        yield Finding("note", f"{single} of {len(cells)} means {of} of one seed, without an interval.")
    if missing := int(cells["missing"].sum()):
        many = "1 result without a number is" if missing == 1 else f"{missing} results without a number are"
        yield Finding("bad", f"{many} not in the means.")


def _describe_states(states: Mapping[str, int]) -> Iterator[Finding]:
    absent = {name: count for name, count in states.items() if name != "done" and count}
    if absent and states.get("done"):
        listed = ", ".join(f"{count} {name}" for name, count in absent.items())
        yield Finding("note", f"Not all points are in the means: {listed}.")
