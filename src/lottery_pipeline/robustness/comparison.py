"""Tickets beside their dense parent, on the same images: differences, tests, and who is not worse."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lottery_pipeline.options.robustness import AdversarialOptions
from lottery_pipeline.robustness.rows import Row, make_row
from lottery_pipeline.robustness.threat import Threat, describe
from lottery_pipeline.statistics.multiple_tests import holm
from lottery_pipeline.statistics.non_inferiority import is_non_inferior
from lottery_pipeline.statistics.paired import mcnemar, paired_bootstrap

# By network and setting: what came of each image, the same images for all; a share of right answers.
Outcomes = Mapping[str, Mapping[str, Sequence[float]]]


def compare_networks(
    outcomes: Outcomes,
    references: Mapping[str, str],
    *,
    margin: float,
    resamples: int,
    confidence: float,
    seed: int,
) -> dict[str, list[Row]]:
    """Compare every network with its reference, image by image.

    Args:
        outcomes: by network and setting, in [0, 1] for each image: 1 for right, or the share of corruptions
            under which it was right.
        references: the dense network of each network; those that are their own are not compared.
        margin: what a network may lose and still count as not worse, fixed beforehand.
        resamples: of the bootstrap over images.
        confidence: of the intervals.
        seed: of the bootstrap.

    Returns:
        Rows by network. ``difference``: network minus reference, paired bootstrap. ``non_inferior``: 1 if its
        lower bound is above -margin, else 0. Where each image is right or wrong, ``mcnemar_p``: the exact
        test of McNemar (1947), and ``holm_p``: the same after Holm (1979) over all tests of this comparison.
        The images are the unit: this says nothing about other seeds.
    """
    rows: dict[str, list[Row]] = {name: [] for name in outcomes}
    tests: list[tuple[str, str, float, int]] = []
    for name, settings in outcomes.items():
        parent = references[name]
        for setting, own in settings.items():
            if parent == name or setting not in outcomes[parent]:
                continue
            first, second = np.asarray(own, float), np.asarray(outcomes[parent][setting], float)
            interval = paired_bootstrap(first, second, resamples=resamples, seed=seed, confidence=confidence)
            rows[name].append(make_row("comparison", setting, "difference", interval))
            worse = is_non_inferior(interval, margin)
            rows[name].append(
                make_row(
                    "comparison",
                    setting,
                    "non_inferior",
                    None if worse is None else float(worse),
                    n=interval.n,
                )
            )
            if set(np.unique(first)) | set(np.unique(second)) <= {0.0, 1.0}:
                tests.append((name, setting, mcnemar(first == 1, second == 1).p, interval.n))
    adjusted = holm([p for _, _, p, _ in tests])
    for (name, setting, p, n), corrected in zip(tests, adjusted, strict=True):
        rows[name].append(make_row("comparison", setting, "mcnemar_p", p, n=n))
        rows[name].append(make_row("comparison", setting, "holm_p", corrected, n=n))
    return rows


def list_outcomes(
    families: Mapping[str, Mapping[str, Any]], options: AdversarialOptions | None
) -> dict[str, list[float]]:
    """Return what came of each image, by setting, for ``compare_networks``.

    Args:
        families: results of one network by family.
        options: of the attacks.
    """
    outcomes = {"clean": [float(value) for value in families["clean"]["right"]]}
    if options is not None:
        least = families["adversarial"]["least_eps"]
        outcomes[headline_of(options)] = [float(eps is None or eps > options.eps[-1]) for eps in least]
    if "corruptions" in families:
        found = families["corruptions"]
        outcomes["mean corruption"] = [right / len(found["cells"]) for right in found["right"]]
    return outcomes


def headline_of(options: AdversarialOptions) -> str:
    """Name the setting at which attacked networks are compared: the largest eps that was asked for.

    Every further eps would be one more test, and Holm would make all of them weaker.
    """
    return describe(Threat(options.norm, options.eps[-1]))
