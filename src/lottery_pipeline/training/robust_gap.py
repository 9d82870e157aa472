"""How far the robustness of an adversarial training falls behind its training images, and behind its best."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def measure_robust_gap(history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return what the history of an adversarial training says of robust overfitting (arXiv 2202.09844).

    The training accuracy is that of the adversarial batches of the last row; the validation accuracy is that
    under the attack of ``measure_robust_accuracy``.

    Args:
        history: of a training; may come from a table, which has NaN where a value is missing.

    Returns:
        ``robust_validation_accuracy`` of the last row; ``robust_generalisation_gap``: training accuracy of
        that row minus it; ``robust_best_minus_last``: the best of all rows minus it. Fractions. Empty without
        an adversary or without validation images.
    """
    name = "robust_validation_accuracy"
    measured = [row for row in history if row.get(name) is not None and math.isfinite(row[name])]
    if not measured:
        return {}
    last = measured[-1][name]
    return {
        name: last,
        "robust_generalisation_gap": measured[-1]["train_accuracy"] - last,
        "robust_best_minus_last": max(row[name] for row in measured) - last,
    }
