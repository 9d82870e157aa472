"""What the words of the section on robustness mean, and what its numbers do not show."""

# By the family of rows that they are about: word and sentence.
WORDS = {
    "adversarial": {
        "Robust accuracy": (
            "The share of the images that every attack fails to turn into a wrong answer. Images that are "
            "wrong unchanged count as wrong."
        ),
        "eps": (
            "How far an attack may change an image. Linf: the largest change of any pixel, in steps of "
            "8-bit images (8/255 is eight steps). L2: the length of the change."
        ),
        "Median least eps": "Half of the images are fooled by a change of this size or a smaller one.",
    },
    "corruption": {
        "mCE": (
            "Mean corruption error: the errors of a network under each corruption over those of its dense "
            "parent, the mean over corruptions. Below 100% it makes fewer."
        ),
    },
    "out_of_distribution": {
        "AUROC": (
            "How often a stranger (an image of another kind) looks stranger to the network than a test "
            "image does: 50% is chance, 100% perfect."
        ),
        "FPR95": (
            "The share of test images taken for strangers when 95% of the strangers are found (strangers "
            "positive). With the test images positive, it is the share of strangers that pass when 95% of "
            "the test images do."
        ),
    },
    "calibration": {
        "ECE": "Expected calibration error: how far confidence is from accuracy, the mean over images.",
        "NLL": "Negative log-likelihood of the right class: the loss on the test images.",
    },
    "comparison": {
        "McNemar, Holm": (
            "McNemar: p of a split so uneven among the images that only one of the two networks gets right,"
            " if both were equally good. Holm: the same p, raised for the number of comparisons."
        ),
        "Not worse": (
            "Yes: the interval of the difference lies above minus the margin, which was set beforehand. No:"
            " it lies below. Undecided: it holds minus the margin."
        ),
    },
}
LIMITS = {
    "seeds": (
        "{seeds}, one training of each network. The intervals are about the choice of images; another "
        "training of the same ticket would give other numbers."
    ),
    "more robust": (
        "“More robust” takes an interval of the difference that leaves zero out and a Holm-adjusted p below "
        "the level. A ticket without them is not shown to be equal either."
    ),
    "bound": "Robust accuracy is an upper bound: stronger attacks can only lower it.",
    "floor": (
        "Networks that were trained on clean photographs fall to about 0% at 8/255. That is a floor: where "
        "all networks lie on it, being level means nothing. Compare them at smaller eps, or by the median."
    ),
    "C-like": (
        "The corruptions are our own, like those of CIFAR-10-C with its severities. The numbers cannot be "
        "laid beside published ones of CIFAR-10-C."
    ),
}
