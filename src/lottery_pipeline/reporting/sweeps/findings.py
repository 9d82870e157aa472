"""What a sweep shows, in words: sentences that claim no more than the intervals support."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.findings import Finding, Findings
from lottery_pipeline.reporting.sweeps.cells import WINNING, drop_covered
from lottery_pipeline.reporting.sweeps.differences import FIRST, METHOD, MOST_PAIRS, SECOND, list_families
from lottery_pipeline.reporting.sweeps.headline import word_headline
from lottery_pipeline.reporting.sweeps.rows import list_records
from lottery_pipeline.reporting.sweeps.series import list_varying, name_axis, name_cell

MOST_NAMED = 12  # in one sentence
NOTHING = "No point of this sweep has a result yet."


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
        word_headline(known[known["experiment"] == name], differences, axes, name if named else "")
        for name in experiments
    ]
    sentences = [Finding("note", sentence) for sentence in worded[1:]]
    sentences += _list_winning(cells, axes, margin)
    sentences += _count_differences(differences)
    sentences += _name_crowded(cells)
    sentences += _count_seeds(known)
    sentences += _describe_states(states)
    return Findings(worded[0], None, sentences)


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
        listed = _list_some([f"{name} {fmt.density(density)}" for name, density in won.items()])
        yield Finding(
            "good",
            f"Lowest density that is shown to lose less than {points} to its own dense parent: {listed}.",
        )
    if lost := [name for name in lowest if name not in won]:
        yield Finding(
            "even",
            f"Not shown at any density: {_list_some(lost)}."
            if won
            else (f"No kind of ticket is shown to lose less than {points} to its own dense parent."),
        )


def _list_some(words: Sequence[str]) -> str:
    more = f" and {len(words) - MOST_NAMED} more" if len(words) > MOST_NAMED else ""
    return ", ".join(words[:MOST_NAMED]) + more


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
