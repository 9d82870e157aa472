"""Summaries of evaluations over seeds: seeds are the unit, images are not."""

from collections.abc import Iterable, Mapping
from typing import Any

from lottery_pipeline.statistics.intervals import t_interval

Key = tuple[str, str, str, str]  # method, family, setting, metric
COLUMNS = (
    *("method", "family", "setting", "metric", "seeds", "value", "low", "high"),
    *("difference", "difference_low", "difference_high"),
)


def summarise_seeds(
    rows: Iterable[Mapping[str, Any]], references: Mapping[str, str], confidence: float = 0.95
) -> list[dict[str, Any]]:
    """Summarise rows of ``evaluate_networks`` of several seeds.

    Args:
        rows: of any number of seeds; those without a value are passed over.
        references: the dense network of each method, as ``networks`` of the record has it.
        confidence: of the t-intervals.

    Returns:
        A row for each method, family, setting and metric, with ``COLUMNS``: the mean over seeds with its
        t-interval, and the mean difference to the dense network of the same seed with its own; bounds are
        None with one seed, differences are None for a dense network itself.
    """
    values: dict[Key, dict[int, float]] = {}
    for row in rows:
        key = (row["method"], row["family"], row["setting"], row["metric"])
        if row["value"] is not None and row["family"] != "comparison":
            values.setdefault(key, {})[row["seed"]] = row["value"]
    summary = []
    for key, own in values.items():
        reference = references[key[0]]
        theirs = {} if reference == key[0] else values.get((reference, *key[1:]), {})
        interval = t_interval(list(own.values()), confidence)
        paired = [value - theirs[seed] for seed, value in own.items() if seed in theirs]
        difference = t_interval(paired, confidence) if paired else None
        bounds = (difference.mean, difference.low, difference.high) if difference else (None, None, None)
        line = (*key, interval.n, interval.mean, interval.low, interval.high, *bounds)
        summary.append(dict(zip(COLUMNS, line, strict=True)))
    return summary
