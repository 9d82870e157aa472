"""Verdicts of the sanity checks: the mean change of the accuracy over seeds, and what its interval says."""

from collections.abc import Mapping, Sequence
from typing import Any

from lottery_pipeline.statistics.intervals import Interval, t_interval

COLUMNS = ("method", "check", "seeds", "difference", "low", "high", "verdict", "note")
SAME_MASK = "no effect: the search finds the same mask"


def summarise_sanity(rows: Sequence[Mapping[str, Any]], *, margin: float = 0.01) -> list[dict[str, Any]]:
    """Summarise sanity checks over seeds.

    The changes ``shuffle``, ``reinitialise``, ``inversion`` and ``corrupted_data`` must hurt. A method
    ``passes`` where they do (the whole interval is below 0), ``fails`` where they cost less than the margin
    (the whole interval is above -margin), and is ``undecided`` otherwise, and always with one seed. A search
    that finds the same mask on corrupted images fails, whatever the number of seeds. The literature gives no
    verdict on ``half_data``: the accuracy ``holds`` (above -margin), ``drops`` (below), or is ``undecided``.

    Args:
        rows: as ``check_sanity`` returns them, one for each method, check and seed.
        margin: fraction by which an accuracy must fall to be called lower.

    Returns:
        One row per method and check, in order of first appearance, with ``COLUMNS``: ``seeds`` is a number,
        ``difference`` the mean, ``low`` and ``high`` its 95 % t-interval (None with one seed).
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["method"], row["check"]), []).append(row)
    return [_summarise(method, check, group, margin) for (method, check), group in groups.items()]


def _summarise(method: str, check: str, rows: list[Mapping[str, Any]], margin: float) -> dict[str, Any]:
    interval = t_interval([row["difference"] for row in rows])
    same = sum(row["changed"] == 0 for row in rows)
    note = f"{SAME_MASK}{'' if same == len(rows) else f' for {same} of {len(rows)} seeds'}" if same else ""
    if check == "corrupted_data" and same == len(rows):
        verdict = "fails"
    elif check == "half_data":
        verdict = _judge(interval, lower="drops", level="holds", bound=-margin, margin=margin)
    else:
        verdict = _judge(interval, lower="passes", level="fails", bound=0.0, margin=margin)
    values = (method, check, interval.n, interval.mean, interval.low, interval.high, verdict, note)
    return dict(zip(COLUMNS, values, strict=True))


def _judge(interval: Interval, *, lower: str, level: str, bound: float, margin: float) -> str:
    """Say ``lower`` where all of the interval is below the bound, ``level`` where it is above -margin."""
    if interval.low is None or interval.high is None:
        return "undecided"
    if interval.high < bound:
        return lower
    return level if interval.low > -margin else "undecided"
