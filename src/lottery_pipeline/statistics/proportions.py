"""Proportions: what the share of right answers among some images says about all images."""

from lottery_pipeline.statistics.intervals import Interval


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Return a proportion with its score interval (Wilson 1927).

    Unlike mean ± z s it stays within [0, 1] and has a width at 0 and at n successes.

    Args:
        successes: how many of the n, such as images that were classified correctly.
        n: independent trials, at least one.
        confidence: how often such intervals hold the true proportion, in (0, 1).

    Raises:
        ValueError: the counts are not 0 <= successes <= n with n >= 1, or the confidence is outside (0, 1).
    """
    from statsmodels.stats.proportion import proportion_confint

    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"a proportion needs 0 <= successes <= n and n >= 1, got {successes} of {n}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), got {confidence!r}")
    proportion = successes / n
    low, high = proportion_confint(successes, n, alpha=1 - confidence, method="wilson")
    # Rounding may put the bound of a proportion of 1 a hair below or above 1.
    low, high = max(0.0, min(float(low), proportion)), min(1.0, max(float(high), proportion))
    return Interval(proportion, low, high, n)
