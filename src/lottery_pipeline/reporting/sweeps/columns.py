"""The columns of the sweep page's tables, and what they mean."""

from lottery_pipeline.reporting.columns import AGAINST_DENSE, DENSITY, KEPT, Column

METHOD = Column(
    "Method", "How the ticket was found, and the settings in which it differs from others.", False
)
EXPERIMENT = Column("Experiment", "Data, network and recipe.", False)
SEEDS = Column("Seeds", "Number of seeds that the mean is of; the seed is the unit of all statistics.")
TEST = Column("Test accuracy", "Mean over seeds. Small: its 95% t-interval; one seed has none.")
COST = Column(
    "Search and training",
    "Mean cost in epochs of the dense network. Small: time on the machines of this sweep.",
)

TABLES: dict[str, tuple[str, tuple[Column, ...]]] = {
    "cells": (
        "Means over seeds",
        (
            METHOD,
            EXPERIMENT,
            DENSITY,
            KEPT,
            SEEDS,
            TEST,
            Column("Validation accuracy", "Mean over seeds; it orders the rows of one density."),
            AGAINST_DENSE._replace(
                words="Mean of the differences to the dense network of the same seed, in percentage points. "
                "Small: its 95% t-interval."
            ),
            Column(
                "Verdict",
                "Winning: the whole interval on the left lies above minus xi. Worse: it lies below.",
                False,
            ),
            COST,
        ),
    ),
    "differences": (
        "Paired differences",
        (
            Column("Compared", "What is compared with what.", False),
            EXPERIMENT,
            Column("Where", "The method and settings that both sides share.", False),
            DENSITY._replace(words="Of both sides."),
            Column("Seeds", "Seeds that both sides have."),
            Column(
                "Difference",
                "Mean of first minus second over common seeds, in points. Small: its 95% t-interval.",
            ),
            Column("p", "Of the paired t-test; none where all differences are equal."),
            Column("Holm p", "The same, raised for the number of comparisons of its kind."),
            Column("Verdict", "Which side is more accurate, if the adjusted p is below 0.05.", False),
        ),
    ),
    "front": (
        "Pareto front",
        (
            METHOD,
            EXPERIMENT,
            DENSITY,
            TEST,
            COST,
            Column("At its cost", "Whether nothing that costs as little, or less, is as accurate.", False),
            Column(
                "With its weights", "Whether nothing with as few weights, or fewer, is as accurate.", False
            ),
        ),
    ),
    "unfinished": (
        "Points without a result",
        (
            Column("Point", "Its name in the plan.", False),
            Column("State", "What the sweep has left of it.", False),
            Column("Tries", "How often it was started."),
            Column("Why", "What it said when it failed.", False),
        ),
    ),
}
FIGURE_TEXTS = {
    "accuracy_against_density": (
        "Accuracy against density",
        (
            "Lines: means over seeds. Bands, or bars: their 95% t-intervals. Open small markers are rungs of "
            "a ladder, which came for free. Hovering tells the numbers."
        ),
    ),
    "accuracy_against_cost": (
        "Accuracy against cost",
        (
            "The cost is that of search and training together, in epochs of the dense network. A larger "
            "marker has more weights, and markers of equal cost stand side by side. Bands, or bars: 95% "
            "t-intervals over seeds."
        ),
    ),
    "fronts": (
        "Pareto fronts",
        (
            "Nothing beats a ticket on a front at its cost (left) or with its weights (right). Better is to "
            "the top left. The front is that of the means: neighbours on it may differ by chance alone."
        ),
    ),
}
WORDS = (
    ("Point", "One run of the sweep: a place in its grid, such as a method, a density and a seed."),
    ("Cell", "Points that differ in nothing but the seed; a mean is that of a cell."),
    ("95% interval", "A t-interval over seeds: of 100 such intervals, some 95 hold the true mean."),
    ("Paired", "Differences are taken within a seed, so what is easy or hard about a seed cancels out."),
    (
        "Holm",
        (
            "Of many comparisons, some look significant by chance. Holm's correction raises the p-values so "
            "that a single false alarm among all of a kind is as rare as one comparison claims."
        ),
    ),
    ("xi", "The margin: how much a ticket may lose to its own dense parent and still be called winning."),
    ("Epochs-equivalent", "Cost in epochs of the dense network; a faster machine does not change it."),
)
