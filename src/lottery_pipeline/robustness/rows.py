"""Tidy rows: one measured value each, of which ``robustness.csv`` is made."""

from typing import Any, Literal

from lottery_pipeline.statistics.intervals import Interval

Family = Literal[
    "clean", "adversarial", "corruption", "out_of_distribution", "calibration", "comparison", "check"
]
Row = dict[str, Any]

# What a row says, after the columns that name its network.
COLUMNS = ("family", "setting", "metric", "value", "low", "high", "n")


def make_row(
    family: Family,
    setting: str,
    metric: str,
    value: float | Interval | None,
    *,
    low: float | None = None,
    high: float | None = None,
    n: int | None = None,
) -> Row:
    """Return one value with its interval.

    Args:
        family: of the measurement.
        setting: under which condition, such as ``Linf eps 8/255``.
        metric: what was measured, such as ``robust_accuracy``.
        value: a number, or an interval whose mean it is; None if it lies outside what was measured.
        low: lower bound, unless the value is an interval.
        high: upper bound.
        n: how many images the value is of.
    """
    if isinstance(value, Interval):
        return make_row(family, setting, metric, value.mean, low=value.low, high=value.high, n=value.n)
    return dict(zip(COLUMNS, (family, setting, metric, value, low, high, n), strict=True))
