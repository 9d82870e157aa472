"""Summaries over seeds of the two studies of SuperTickets: arms of the search, and transfer between tasks."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from lottery_pipeline.options.supertickets_study import ARMS, REFERENCE
from lottery_pipeline.statistics.intervals import t_interval

ARM_COLUMNS = (
    *("arm", "state", "metric", "epochs", "seeds", "accuracy", "low", "high"),
    *("difference", "difference_low", "difference_high"),
    *("kept", "prunable", "density", "macs_theoretical", "macs_executed", "macs_dense"),
    *("parameters", "seconds"),
)
TRANSFER_COLUMNS = (
    *("source", "target", "arm", "metric", "epochs", "seeds", "accuracy", "low", "high"),
    *("difference", "difference_low", "difference_high"),
    *("early_loss", "early_difference", "early_difference_low", "early_difference_high"),
    *("kept", "prunable", "density", "macs_theoretical", "macs_executed", "macs_dense"),
    *("parameters", "seconds"),
)
STATES = ("found", "retrained")
TRANSFERRED, DIRECT = "transferred", "direct"
_MEANS = ("kept", "density", "macs_theoretical", "macs_executed", "parameters", "seconds")
_EQUAL = ("metric", "prunable", "macs_dense")

Row = Mapping[str, Any]
BySeed = dict[int, float]


def summarise_arms(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Summarise the arms of the search over seeds.

    Args:
        rows: as ``study_arms`` returns them, of any number of seeds.

    Returns:
        One row for each arm and state, ``found`` or ``retrained``, with ``ARM_COLUMNS``: ``seeds`` is a
        number, ``accuracy`` the mean, ``low`` and ``high`` its 95 % t-interval (None with one seed).
        ``difference`` is that to the two-in-one arm of the same seed after as many epochs: found against
        found, retrained against retrained, and a longer arm against retrained; it is None for two-in-one
        itself, and if there is nothing to compare with. Epochs, sizes and seconds are means.
    """
    reference = {state: _values(rows, f"{state}_accuracy", arm=REFERENCE) for state in STATES}
    summary = []
    for name in (name for name in ARMS if any(row["arm"] == name for row in rows)):
        for state in STATES:
            own = [row for row in rows if row["arm"] == name and row[f"{state}_accuracy"] is not None]
            if not own:
                continue
            epochs = fmean(row["search_epochs"] if state == "found" else row["epochs"] for row in own)
            values = _values(own, f"{state}_accuracy")
            compared = reference["retrained" if ARMS[name].is_long else state]
            line = {
                "arm": name,
                "state": state,
                "epochs": epochs,
                **_describe(own),
                **_spread("accuracy", values, low="low", high="high"),
                **_compare("difference", values, {} if name == REFERENCE else compared),
            }
            summary.append({column: line[column] for column in ARM_COLUMNS})
    return summary


def summarise_transfer(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Summarise transfers over seeds.

    Args:
        rows: as ``study_transfer`` returns them, of any number of seeds.

    Returns:
        One row for each source, target and arm, with ``TRANSFER_COLUMNS``. For two tasks, the arms are
        ``transferred``, its controls, and ``direct``, which is the same for every source. ``difference`` is
        how much more accurate the arm is than the transferred ticket of the same seed, ``early_difference``
        how much higher its loss is after a third of the steps, each with a 95 % t-interval (None with one
        seed); they are None for ``transferred`` itself. For one task, the arms are those that found
        tickets are compared with, without differences.
    """
    summary = []
    pairs = dict.fromkeys((str(row["source"]), str(row["target"])) for row in rows)
    for source, target in pairs:
        pair = [row for row in rows if (row["source"], row["target"]) == (source, target)]
        if source != target:
            pair += [row for row in rows if (row["target"], row["arm"]) == (target, DIRECT)]
        moved = [row for row in pair if row["arm"] == TRANSFERRED]
        for arm in dict.fromkeys(str(row["arm"]) for row in pair):
            own = [row for row in pair if row["arm"] == arm]
            others = [] if arm == TRANSFERRED else moved
            accuracy, early = _values(own, "accuracy"), _values(own, "early_loss")
            line = {
                "source": source,
                "target": target,
                "arm": arm,
                "epochs": fmean(row["epochs"] for row in own),
                **_describe(own),
                **_spread("accuracy", accuracy, low="low", high="high"),
                **_compare("difference", accuracy, _values(others, "accuracy")),
                "early_loss": fmean(early.values()),
                **_compare("early_difference", early, _values(others, "early_loss")),
            }
            summary.append({column: line[column] for column in TRANSFER_COLUMNS})
    return summary


def _values(rows: Iterable[Row], column: str, **wanted: Any) -> BySeed:
    return {
        row["seed"]: row[column]
        for row in rows
        if row[column] is not None and all(row[key] == value for key, value in wanted.items())
    }


def _describe(rows: Sequence[Row]) -> dict[str, Any]:
    means = {column: fmean(row[column] for row in rows) for column in _MEANS}
    return {"seeds": len(rows), **{column: rows[0][column] for column in _EQUAL}, **means}


def _spread(name: str, values: BySeed, *, low: str, high: str) -> dict[str, float | None]:
    interval = t_interval(list(values.values()))
    return {name: interval.mean, low: interval.low, high: interval.high}


def _compare(name: str, values: BySeed, others: BySeed) -> dict[str, float | None]:
    """Return the mean difference over the seeds that both have, with its interval."""
    differences = {seed: value - others[seed] for seed, value in values.items() if seed in others}
    low, high = f"{name}_low", f"{name}_high"
    if not differences:
        return {name: None, low: None, high: None}
    return _spread(name, differences, low=low, high=high)
