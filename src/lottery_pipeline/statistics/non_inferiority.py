"""Non-inferiority: whether a network is not worse than another by more than a margin fixed beforehand."""

from lottery_pipeline.statistics.intervals import Interval


def is_non_inferior(interval: Interval, margin: float) -> bool | None:
    """Say whether the whole interval of a difference lies above -margin.

    A difference that is not significant shows nothing of the kind: few items make any difference so.

    Args:
        interval: of new minus old, higher being better.
        margin: how much may be lost, in the units of the interval, at least 0.

    Returns:
        None if the interval has no bounds, because it is of one value only.

    Raises:
        ValueError: the margin is negative or not a number.
    """
    if not margin >= 0:
        raise ValueError(f"margin must be at least 0, got {margin!r}")
    return None if interval.low is None else interval.low > -margin
