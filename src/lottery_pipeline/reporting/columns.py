"""The columns of the report's tables, and what they mean: shown on hover, and under Words."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from lottery_pipeline.reporting.metric import put_metric


class Column(NamedTuple):
    """A column of a table: its heading, what it means, and whether it holds numbers."""

    heading: str
    words: str
    number: bool = True


METHOD = Column("Method", "How the ticket was found; the methods are explained below.", False)
DENSITY = Column(
    "Density", "Share of the D prunable weights that remain. Accuracies compare at equal density."
)
KEPT = Column("Weights kept", "Number of the prunable weights that remain.")
TEST = Column(
    "Test accuracy",
    "On images that no training and no choice has seen. Small: 95% interval over the choice of test images "
    "(Wilson 1927); another seed may differ by more.",
)
VALIDATION = Column(
    "Validation accuracy", "On images that were held back from training. It chooses the best ticket."
)
AGAINST_DENSE = Column(
    "Against dense", "Test accuracy minus that of the ticket's own dense parent, in percentage points."
)
THEORY = Column(
    "MACs in theory",
    "Multiply-accumulates for one image if those with removed weights are skipped. Ordinary hardware "
    "executes them anyway.",
)
EXECUTED = Column(
    "MACs executed", "Multiply-accumulates for one image that are executed; empty channels are taken out."
)
EPOCHS = Column("Epochs", "Length of the training, in epochs of the dense network.")
INTERVAL = Column("95% interval", "Of the column on its left: a t-interval over seeds; none for one seed.")

TABLES: dict[str, tuple[str, tuple[Column, ...]]] = {
    "leaderboard": (
        "Leaderboard",
        (
            METHOD,
            DENSITY,
            KEPT,
            TEST,
            VALIDATION,
            AGAINST_DENSE,
            Column(
                "Search",
                "Cost of finding the ticket, in epochs of the dense network and in time on this machine.",
            ),
            Column("Retraining", "Cost of training the ticket that was found."),
            THEORY,
            EXECUTED,
            Column(
                "Speed-up",
                "How many times as fast as its dense parent, measured in turns at the largest batch. "
                "Masks alone make nothing faster.",
            ),
            Column("Ticket file", "Size of the file with masks and kept weights."),
            Column(
                "Fingerprint",
                "First characters of a hash of all that determines the trained ticket.",
                False,
            ),
        ),
    ),
    "ladders": (
        "Ladders",
        (
            Column("Rung", "Number of the pruning round; rung 0 is the dense network."),
            DENSITY,
            KEPT,
            TEST._replace(words="On images that no training and no choice has seen."),
            AGAINST_DENSE,
            VALIDATION._replace(words="On images that were held back from training."),
            Column(
                "Lowest validation loss at step", "Training step after which the validation loss rose again."
            ),
            EPOCHS,
            Column("Time", "Of the training, on this machine."),
        ),
    ),
    "controls": (
        "Controls",
        (
            METHOD,
            Column("Kind", "What was changed: the mask is random, or the initial weights are new.", False),
            Column("Rung", "Rung of the ladder that the control stands beside."),
            DENSITY,
            Column("Control", "Test accuracy of the control."),
            Column("Ticket", "Test accuracy of the ticket with as many weights."),
            Column("Ticket ahead by", "Difference of the two, in percentage points."),
            EPOCHS,
        ),
    ),
    "adversarial": (
        "Adversarial training",
        (
            Column("Network", "What was trained.", False),
            Column("Robust validation accuracy", "On validation images under PGD with ten steps."),
            Column(
                "Generalisation gap",
                "Accuracy on the attacked training batches of the last epoch minus the column on the "
                "left, in points.",
            ),
            Column("Best minus last epoch", "What robust overfitting cost, in percentage points."),
        ),
    ),
    "blocks": (
        "Block by block",
        (
            Column("Block", "Part of the supernet, from input to output.", False),
            Column("Kernels", "Sizes of the kernels that are left.", False),
            Column("Hidden channels", "Number of channels that are left, by kernel.", False),
            Column("Of the supernet’s", "Number of channels in the supernet, by kernel.", False),
            Column("Tokens", "Tokens of the attention that are left."),
            Column("MACs", "Multiply-accumulates for one image, masked weights included."),
            Column("MACs left", "MACs as a share of those of the block in the supernet."),
            KEPT,
            Column("Density", "Weights that are not masked, of those in the channels that are left."),
        ),
    ),
    "arms": (
        "Parts of the joint search",
        (
            Column("Arm", "A way to get from the supernet to a network; explained below its table.", False),
            Column("Measured", "As the search leaves it, or trained again.", False),
            EPOCHS,
            TEST._replace(words="Mean over seeds."),
            INTERVAL,
            Column("Against two-in-one", "Mean difference, paired by seed, in percentage points."),
            INTERVAL,
            DENSITY._replace(words="Share of the weights of the whole supernet that remain."),
            KEPT,
            THEORY,
            EXECUTED,
            Column("Parameters", "All parameters of the network, masked weights included."),
        ),
    ),
    "transfers": (
        "SuperTickets at other tasks",
        (
            Column("Arm", "The moved ticket, or a control that is trained for as long.", False),
            TEST._replace(words="Mean over seeds."),
            INTERVAL,
            Column("Against the moved ticket", "Mean difference, paired by seed, in percentage points."),
            INTERVAL,
            Column("Loss after a third", "Loss of the validation images after a third of the steps."),
            DENSITY,
            KEPT,
            THEORY,
            EXECUTED,
        ),
    ),
    "comparisons": (
        "Robustness against the dense parent",
        (
            Column("Network", "Compared with its own dense parent on the same images.", False),
            Column("On", "What was done to the images.", False),
            Column("Difference", "Accuracy minus that of the dense parent, in percentage points."),
            Column("Interval", "Of the difference, over the images."),
            Column(
                "McNemar p", "Chance of a split so uneven among the images that only one network gets right."
            ),
            Column("Holm p", "The same, raised for the number of comparisons."),
            Column(
                "Not worse",
                "Whether the network is shown not to be worse than its parent by the margin.",
                False,
            ),
            Column("Images", "Number of images that both networks were given."),
        ),
    ),
    "strangers": (
        "Strangers",
        (
            Column("Network", "What was asked.", False),
            Column("Strangers", "Images of another kind than the test images.", False),
            Column("Score", "What counts as looking strange.", False),
            Column("AUROC", "How often a stranger looks stranger than a test image: 50% is chance."),
            Column("AUPR, strangers positive", "Area under precision and recall of finding strangers."),
            Column("AUPR, test images positive", "Area under precision and recall of finding test images."),
            Column(
                "FPR95, strangers positive",
                "Test images taken for strangers when 95% of the strangers are found.",
            ),
            Column("FPR95, test images positive", "Strangers that pass when 95% of the test images do."),
        ),
    ),
    "published": (
        "Beside the benchmark",
        (
            Column("Method", "A ticket of this run, or a method of the benchmark.", False),
            Column("From", "Measured in this run, or by the authors.", False),
            Column("Sparsity", "One minus density."),
            Column("Clean", "Accuracy on unchanged images."),
            Column("Robust", "Accuracy under attack."),
            Column("Images", "Number of images that were attacked."),
        ),
    ),
    "checks": (
        "What was checked",
        (
            Column("Check", "A step of the verification.", False),
            Column("Result", "Whether it passed.", False),
            Column("What was found", "In words.", False),
        ),
    ),
    "attacks": (
        "Attacks on the mark",
        (
            Column("Attack", "What was done to the signed ticket to remove its mark.", False),
            Column("Promise", "Whether the mark was promised to survive it, and did.", False),
            Column("Try", "How strong the attack was.", False),
            Column("Test accuracy", "After the attack."),
            Column("Against signed", "Test accuracy minus that of the signed ticket, in percentage points."),
            Column(
                "Bits of evidence",
                "With b bits, a network without the mark looks like this once in 2^b cases.",
            ),
            Column("Detected", "Whether there is enough evidence.", False),
            Column("Decoded", "Whether the bytes in the mark were read without a fault.", False),
            Column("Triggers", "Secret images that the network answers as the key says."),
            Column("QR code", "Whether the published signature, a QR code in the mask, can be read.", False),
        ),
    ),
    "qr": (
        "What the authors of the QR signature measured",
        (
            Column("Pruned, of the remaining weights", "Strength of their attack."),
            Column("Their test accuracy", "After the attack."),
            Column("Their QR code", "Whether it could be read.", False),
        ),
    ),
    "fingerprints": (
        "Fingerprints",
        (
            METHOD,
            Column("Ticket", "Hash of all that determines the trained ticket.", False),
            Column(
                "Dense parent",
                "Hash of all that determines the dense run that the ticket was found in.",
                False,
            ),
        ),
    ),
}
PROFILE_WORDS = {
    "class": "Name of the class.",
    "train": "Number of images to train on.",
    "validation": "Number of images that are held back to choose by.",
    "test": "Number of images that judge in the end.",
}


def explain_columns(
    names: Iterable[str], metric: str, tables: Mapping[str, tuple[str, tuple[Column, ...]]] = TABLES
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return title, headings and words of tables, for the section Words.

    Args:
        names: of the tables that the page shows.
        metric: what the accuracies are; it takes the place of the word.
        tables: title and columns by name.
    """
    shown = list(names)
    hidden = () if "qr" in shown else ("QR code",)
    return [
        (
            title,
            list(
                {
                    put_metric(column.heading, metric): put_metric(column.words, metric)
                    for column in columns
                    if column.heading not in hidden
                }.items()
            ),
        )
        for title, columns in (tables[name] for name in shown)
    ]
