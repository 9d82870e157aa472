"""How much the choice of test images alone changes the difference between two accuracies."""

import math
from typing import Literal


def chance_margin(first: float, second: float, test_images: int) -> float:
    """Return how far two accuracies differ, in 95 of 100 cases, by the choice of test images alone.

    The interval of Agresti and Caffo (2000) for two independent proportions: one success and one failure are
    added to each sample, so it is not zero at 100 %. Here both networks see the same images, which usually
    makes the true margin smaller, so this one is cautious. It says nothing about other seeds.

    Args:
        first: accuracy in [0, 1].
        second: accuracy in [0, 1].
        test_images: images behind each accuracy.

    Returns:
        Half the width of the interval, as a fraction.
    """
    smoothed = [(accuracy * test_images + 1) / (test_images + 2) for accuracy in (first, second)]
    return 1.96 * math.sqrt(sum(p * (1 - p) / (test_images + 2) for p in smoothed))


def describe_margin(difference: float, first: float, second: float, test_images: int | None) -> str:
    """Say in half a sentence whether chance explains a difference; say nothing if the number is unknown."""
    if test_images is None:
        return ""
    margin = round(100 * chance_margin(first, second, test_images), 1)
    relation = "within" if round(100 * abs(difference), 1) <= margin else "more than"
    return f", {relation} the {margin:.1f} explained by the choice of {test_images:,} test images"


def judge(
    difference: float, first: float, second: float, test_images: int | None
) -> Literal["good", "even", "bad"]:
    """Call a difference even if the choice of test images explains it, else good (positive) or bad."""
    margin = chance_margin(first, second, test_images) if test_images else 0.0
    # Rounded as it is printed, so that nobody reads "1.9, more than 1.9".
    if round(100 * abs(difference), 1) <= round(100 * margin, 1):
        return "even"
    return "good" if difference > 0 else "bad"
