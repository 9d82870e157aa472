"""Values of a few seeds as results record them and as tables show them."""

from typing import Any

from lottery_pipeline.statistics.intervals import t_interval


def summarise(values: list[float]) -> dict[str, Any]:
    """Return mean, bounds of the 95 % t-interval (None for one seed) and the values."""
    interval = t_interval(values)
    return {"mean": interval.mean, "low": interval.low, "high": interval.high, "values": values}


def show(summary: dict[str, Any]) -> str:
    """Write mean and half-width of fractions in hundredths."""
    half = "" if summary["low"] is None else f" ± {50 * (summary['high'] - summary['low']):.2f}"
    return f"{100 * summary['mean']:.2f}{half}"
