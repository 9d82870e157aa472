"""Pareto fronts: what nothing else beats in one respect without losing in another."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def find_front(costs: Sequence[float], scores: Sequence[float]) -> NDArray[np.bool_]:
    """Tell which of several are on the front of cost and score.

    One is not on the front if another costs no more and scores no less, and is better in one of the two.

    Args:
        costs: lower is better; one without a cost (NaN) has no place.
        scores: higher is better, likewise.

    Returns:
        ``[n]``, whether each is on the front; equal ones are on it together.
    """
    cost, score = np.asarray(costs, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    front = np.zeros(len(cost), dtype=np.bool_)
    known = np.flatnonzero(np.isfinite(cost) & np.isfinite(score))
    ordered = known[np.lexsort((-score[known], cost[known]))]
    highest, at = -np.inf, np.nan
    for index in ordered:
        if score[index] > highest or (score[index] == highest and cost[index] == at):
            front[index], highest, at = True, score[index], cost[index]
    return front
