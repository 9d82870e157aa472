"""Separation of two kinds of scores by counting, and calibration bins by hand: slow, hard to get wrong."""

from collections.abc import Sequence


def auroc_naive(known: Sequence[float], strange: Sequence[float]) -> float:
    """Every stranger against every known image; a tie is half a win."""
    wins = sum((s > k) + 0.5 * (s == k) for s in strange for k in known)
    return wins / (len(known) * len(strange))


def average_precision_naive(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Mean over the positives of the precision where each of them is found."""
    total = 0.0
    for score in positive:
        found = sum(p >= score for p in positive)
        total += found / (found + sum(n >= score for n in negative))
    return total / len(positive)


def fpr95_naive(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Lower the threshold from score to score until 95 % of the positives are found."""
    for threshold in sorted({*positive, *negative}, reverse=True):
        if 100 * sum(p >= threshold for p in positive) >= 95 * len(positive):
            return sum(n >= threshold for n in negative) / len(negative)
    raise AssertionError("the lowest threshold finds everything")


def ece_naive(confidence: Sequence[float], right: Sequence[bool], bins: int) -> float:
    """Put every image into the bin whose lower edge it has reached; the last bin takes 1 too."""
    total = 0.0
    for index in range(bins):
        last = index == bins - 1
        members = [
            n for n, c in enumerate(confidence) if index / bins <= c and (last or c < (index + 1) / bins)
        ]
        total += abs(sum(right[n] - confidence[n] for n in members))
    return total / len(confidence)
