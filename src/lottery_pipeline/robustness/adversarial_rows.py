"""What a cascade has shown, as rows with intervals, and as flags that say how far to trust them."""

from collections.abc import Mapping, Sequence

import numpy as np

from lottery_pipeline.options.robustness import Norm
from lottery_pipeline.robustness.attacks import ATTACKS, AttackName
from lottery_pipeline.robustness.cascade import Standing
from lottery_pipeline.robustness.rows import Row, make_row
from lottery_pipeline.robustness.threat import Threat, describe
from lottery_pipeline.statistics.paired import bootstrap_statistic
from lottery_pipeline.statistics.proportions import wilson_interval

# Share of the accuracy that Square may take beyond the white-box attacks, as AutoAttack has it.
_BLACK_BOX_SHARE = 0.002


def measure_curve(standing: Standing, norm: Norm, eps: Sequence[float], confidence: float) -> list[Row]:
    """Return the accuracy without a change and that within each eps, with Wilson intervals."""
    n = len(standing.least)
    clean = wilson_interval(len(standing.order), n, confidence)
    rows = [make_row("adversarial", norm, "clean_accuracy", clean)]
    for value in eps:
        found = wilson_interval(standing.count(value), n, confidence)
        setting = describe(Threat(norm, value))
        rows.append(make_row("adversarial", setting, "robust_accuracy", found))
    return rows


def measure_median(standing: Standing, norm: Norm, *, resamples: int, seed: int, confidence: float) -> Row:
    """Return the least eps at which half of the images are fooled, with its bootstrap interval.

    The value and its bounds are None where they lie above all that was tried.
    """
    least = standing.least.numpy()
    middle = (len(least) - 1) // 2  # a value that occurs: no mean with infinity

    def median(items: np.ndarray) -> float:
        return float(np.partition(least[items], middle)[middle])

    found = bootstrap_statistic(median, len(least), resamples=resamples, seed=seed, confidence=confidence)
    value, low, high = (
        bound if bound is not None and np.isfinite(bound) else None
        for bound in (found.mean, found.low, found.high)
    )
    return make_row("adversarial", norm, "median_eps", value, low=low, high=high, n=found.n)


def count_fooled(standing: Standing, name: AttackName) -> int:
    """Return how many images an attack was the one to fool at their least eps."""
    return int((standing.fooled_by == list(ATTACKS).index(name)).sum())


def collect_flags(
    standing: Standing, attacks: Sequence[AttackName], obstacles: Mapping[AttackName, str]
) -> dict[str, bool | float | str | None]:
    """Return what speaks against trusting the result, as plain JSON.

    Args:
        standing: at the end of the cascade.
        attacks: that were run, in their order.
        obstacles: of those that could not run, the reasons.
    """
    stronger = None
    before = attacks[: attacks.index("square")] if "square" in attacks else []
    if any(ATTACKS[name].access == "white box" for name in before):
        beaten = standing.least[standing.fooled_by == list(ATTACKS).index("square")]
        most = max(beaten.unique(return_counts=True)[1].tolist(), default=0)
        stronger = most / len(standing.least) > _BLACK_BOX_SHARE
    return {
        **standing.checks,
        "black_box_stronger": stronger,
        "unverified": standing.unverified,
        "left_out": "; ".join(f"{ATTACKS[name].label}: {reason}" for name, reason in obstacles.items()),
        # Its parts run one at a time, so it cannot compare them itself.
        **{
            f"autoattack_{name}": given
            for name, given in standing.warnings.items()
            if name != "black_box_stronger"
        },
    }
