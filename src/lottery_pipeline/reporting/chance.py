"""What the choice of test images alone does to a difference of two accuracies."""

import math
from typing import Literal


def chance_margin(first: float, second: float, test_images: int) -> float:
    """How far two measured accuracies differ by the choice of test images alone, in 95 of 100 cases.

    The interval of Agresti and Caffo (2000) for two independent proportions: one success and one failure are
    added to each sample, so it is not zero at 100 %. Both networks see the same images here, which as a rule
    makes the true margin smaller: this one is on the careful side. It says nothing about other seeds.

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
    """Say in half a sentence whether chance explains a difference; nothing where the number is unknown."""
    if test_images is None:
        return ""
    margin = round(100 * chance_margin(first, second, test_images), 1)
    relation = "within" if round(100 * abs(difference), 1) <= margin else "more than"
    return f", {relation} the {margin:.1f} that the choice of {test_images:,} test images explains"


def judge(
    difference: float, first: float, second: float, test_images: int | None
) -> Literal["good", "even", "bad"]:
    """Call a difference even while the choice of test images explains it, else good (positive) or bad."""
    margin = chance_margin(first, second, test_images) if test_images else 0.0
    # Rounded as it is printed, so that nobody reads "1.9, more than 1.9".
    if round(100 * abs(difference), 1) <= round(100 * margin, 1):
        return "even"
    return "good" if difference > 0 else "bad"
