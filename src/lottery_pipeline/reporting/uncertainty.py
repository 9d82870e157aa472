"""How far an accuracy is known: the interval that the choice of test images alone leaves."""

from collections.abc import Mapping
from typing import Any

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.metric import ACCURACY, name_metric
from lottery_pipeline.statistics.intervals import Interval
from lottery_pipeline.statistics.proportions import wilson_interval


def count_test_images(record: Mapping[str, Any]) -> int | None:
    """Return on how many images the accuracy of a record was measured.

    Args:
        record: metrics of a run, with ``classes``, a row per class.

    Returns:
        The number; None if the record does not tell, or its score is not a share of images (mIoU, PCK).
    """
    if name_metric([record]) != ACCURACY:
        return None
    return sum(row.get("images", 0) for row in record.get("classes") or ()) or None


def find_interval(accuracy: Any, images: int | None) -> Interval | None:
    """Return the 95 % interval of one accuracy over the choice of test images (Wilson 1927).

    It holds for one trained network; another seed may differ by more. Over seeds, the figures that have
    several show t-intervals.

    Args:
        accuracy: a fraction; None or NaN if it is not known.
        images: it was measured on; None if that is not known.
    """
    if images is None or fmt.is_missing(accuracy):
        return None
    return wilson_interval(round(accuracy * images), images)


def find_test_interval(record: Mapping[str, Any]) -> Interval | None:
    """Return the interval of the test accuracy of a record."""
    return find_interval(record.get("test_accuracy"), count_test_images(record))


def print_interval(interval: Interval | None) -> str:
    """Print an interval: ``95.6% to 98.7%``; empty if there is none."""
    return "" if interval is None else f"{fmt.percent(interval.low)} to {fmt.percent(interval.high)}"
