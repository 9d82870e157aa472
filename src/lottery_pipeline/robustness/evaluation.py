"""The evaluation of many networks on the same bad images: every network, every family, one record."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from torch import nn

from lottery_pipeline.evaluation.finished_rows import FinishedRows
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.options.robustness import RobustnessOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.robustness.adversarial import measure_adversarial
from lottery_pipeline.robustness.calibration import measure_calibration
from lottery_pipeline.robustness.checks import describe_checks
from lottery_pipeline.robustness.comparison import compare_networks, headline_of, list_outcomes
from lottery_pipeline.robustness.conditions import Conditions
from lottery_pipeline.robustness.corruptions.errors import compare_with_reference, find_prune_potentials
from lottery_pipeline.robustness.corruptions.measurement import measure_corruptions
from lottery_pipeline.robustness.detection import measure_detection
from lottery_pipeline.robustness.logits import compute_logits
from lottery_pipeline.robustness.rows import Row, make_row
from lottery_pipeline.robustness.subjects import Subject
from lottery_pipeline.statistics.proportions import wilson_interval
from lottery_pipeline.training.arithmetic import describe_arithmetic

logger = logging.getLogger(__name__)

Result = dict[str, Any]  # plain JSON: "rows", and what the family says beside them
Measure = Callable[[nn.Module, Conditions, Subject, Checkpoints | None], Result]


def evaluate_networks(
    subjects: Sequence[Subject],
    images: ImageSplits,
    options: RobustnessOptions,
    *,
    seed: int,
    device: str = "auto",
    checkpoints: Checkpoints | None = None,
) -> dict[str, Any]:
    """Measure networks under all families that the options name; every network gets the same images.

    Args:
        subjects: the networks; each has its reference among them.
        images: the test part is measured on; temperatures are fitted on the validation part.
        options: families and budgets.
        seed: of the choice of images and of everything drawn.
        device: where to compute.
        checkpoints: a run that is killed resumes after the last batch that was attacked.

    Returns:
        Plain JSON: ``networks``; ``rows``, one for each network, setting and metric; ``reliability`` by
        network; ``checks`` of the evaluation itself; ``corruptions``, what kind they are; ``images``, how
        many each family was measured on; ``classes``; ``headline``, the setting at which attacked networks
        are compared; ``eps`` that were asked for; ``margin`` and ``confidence``; ``arithmetic``, that of
        ``describe_arithmetic``.

    Raises:
        ImageError: the images have no classes; or images that the options name are missing, damaged or
            unfit.
    """
    conditions = Conditions(images, options, seed=seed, device=device)
    conditions.prepare()
    identity = {
        "images": images.fingerprint,
        "options": options.model_dump(mode="json", exclude={"methods"}),
        "seed": seed,
    }
    finished = FinishedRows(checkpoints, "robustness", identity, level=logging.DEBUG)
    results: dict[str, dict[str, Result]] = {}
    began = time.monotonic()
    for done, subject in enumerate(subjects, start=1):
        results[subject.name] = _measure(subject, conditions, finished)
        rows = [row for result in results[subject.name].values() for row in result["rows"]]
        left = timedelta(seconds=round((time.monotonic() - began) / done * (len(subjects) - done)))
        logger.info(
            "robustness: %d of %d networks, %s: %s, about %s left.",
            *(done, len(subjects), subject.name, _describe(rows), left),
        )
    finished.close()
    return _collect(subjects, results, conditions)


def _measure(subject: Subject, conditions: Conditions, finished: FinishedRows) -> dict[str, Result]:
    """Measure one network; what is finished already is not measured again, and its network not built."""
    built: list[nn.Module] = []

    def make(family: str, own: Checkpoints | None) -> Result:
        if not built:
            built.append(conditions.place(subject.build()))
        return FAMILIES[family](built[0], conditions, subject, own)

    return {
        family: finished.make(
            {"network": subject.name, "family": family, "fingerprint": subject.fingerprint[:12]},
            partial(make, family),
        )
        for family in FAMILIES
        if conditions.includes(family)
    }


def _collect(
    subjects: Sequence[Subject], results: Mapping[str, Mapping[str, Result]], conditions: Conditions
) -> dict[str, Any]:
    """Put the results of all networks into one record, with what only several networks can tell."""
    options, references = conditions.options, {subject.name: subject.reference for subject in subjects}
    rows = {
        name: [row for result in families.values() for row in result["rows"]]
        for name, families in results.items()
    }
    checks = {
        name: describe_checks(families.get("adversarial", {}).get("flags", {}))
        for name, families in results.items()
    }
    for name, reference in references.items():
        if name != reference and "corruptions" in results[name]:
            # Where the reference loses nothing there is nothing to divide by, and the row has no value.
            relative, _ = compare_with_reference(
                results[name]["corruptions"], results[reference]["corruptions"]
            )
            rows[name] += relative
    compared = compare_networks(
        {name: list_outcomes(families, options.adversarial) for name, families in results.items()},
        references,
        margin=options.margin,
        resamples=options.resamples,
        confidence=options.confidence,
        seed=conditions.seed,
    )
    for name in references:
        rows[name] += compared[name]
    densities = {subject.name: subject.density for subject in subjects}
    for dense in set(references.values()):
        family = [name for name, reference in references.items() if reference == dense]
        found = [{"density": densities[name], **row} for name in family for row in rows[name]]
        if len(family) > 1:
            rows[dense] += find_prune_potentials(found)
    return {
        "networks": [subject.describe() for subject in subjects],
        "rows": [
            {"method": subject.name, "seed": subject.seed, "density": subject.density, **row}
            for subject in subjects
            for row in rows[subject.name]
        ],
        "reliability": {
            name: families["calibration"]["bins"]
            for name, families in results.items()
            if "calibration" in families
        },
        "checks": [{"method": name, **check} for name, found in checks.items() for check in found],
        "corruptions": None if options.corruptions is None else conditions.corrupted.source,
        "images": conditions.counts(),
        "classes": conditions.images.num_classes,
        "headline": None if options.adversarial is None else headline_of(options.adversarial),
        "eps": [] if options.adversarial is None else list(options.adversarial.eps),
        "margin": options.margin,
        "confidence": options.confidence,
        "arithmetic": describe_arithmetic(conditions.device),
    }


def pick_headlines(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers by which networks are compared at a glance, as ``<what>/<network>``.

    Args:
        evaluation: as ``evaluate_networks`` makes it.
    """
    named = {
        ("adversarial", evaluation["headline"], "robust_accuracy"): "robust_accuracy",
        ("corruption", "mean", "accuracy"): "corruption_accuracy",
        ("calibration", "as trained", "ece"): "ece",
    }
    return {
        f"{name}/{row['method']}": row["value"]
        for row in evaluation["rows"]
        if (name := named.get((row["family"], row["setting"], row["metric"]))) and row["value"] is not None
    }


def _describe(rows: Iterable[Row]) -> str:
    """Put the accuracies of a network into words: clean, at the last eps, and under corruption."""
    values = {(row["family"], row["metric"]): row for row in rows if row["setting"] in ("clean", "mean")}
    robust = [row for row in rows if row["metric"] == "robust_accuracy"]
    found = [values.get(("clean", "accuracy")), *robust[-1:], values.get(("corruption", "accuracy"))]
    names = {"clean": "clean", "mean": "corrupted"}
    return ", ".join(
        f"{names.get(row['setting'], row['setting'])} {100 * row['value']:.1f} %" for row in found if row
    )


def _measure_clean(
    model: nn.Module,
    conditions: Conditions,
    subject: Subject,  # noqa: ARG001
    own: Checkpoints | None,  # noqa: ARG001
) -> Result:
    test = conditions.images.test
    right = compute_logits(model, test, device=conditions.device).argmax(1) == test.labels.cpu()
    found = wilson_interval(int(right.sum()), len(test), conditions.options.confidence)
    return {
        "rows": [make_row("clean", "clean", "accuracy", found)],
        "right": [int(value) for value in right],
    }


def _measure_adversarial(
    model: nn.Module, conditions: Conditions, subject: Subject, own: Checkpoints | None
) -> Result:
    options = conditions.options
    assert options.adversarial is not None  # noqa: S101 (Conditions.includes has said so)
    return measure_adversarial(
        model,
        conditions.images.test,
        conditions.choose(options.adversarial.images),
        options.adversarial,
        seed=conditions.seed,
        device=conditions.device,
        checkpoints=own,
        identity={"network": subject.fingerprint},
        resamples=options.resamples,
        confidence=options.confidence,
        label=subject.name,
    )


def _measure_corruptions(
    model: nn.Module, conditions: Conditions, subject: Subject, own: Checkpoints | None
) -> Result:
    return measure_corruptions(
        model,
        conditions.corrupted,
        device=conditions.device,
        checkpoints=own,
        identity={"network": subject.fingerprint},
        **conditions.statistics,
    )


def _measure_detection(
    model: nn.Module,
    conditions: Conditions,
    subject: Subject,  # noqa: ARG001
    own: Checkpoints | None,  # noqa: ARG001
) -> Result:
    options = conditions.options.out_of_distribution
    assert options is not None  # noqa: S101 (Conditions.includes has said so)
    return measure_detection(
        model,
        conditions.images.test,
        conditions.strangers,
        options,
        device=conditions.device,
        **conditions.statistics,
    )


def _measure_calibration(
    model: nn.Module,
    conditions: Conditions,
    subject: Subject,  # noqa: ARG001
    own: Checkpoints | None,  # noqa: ARG001
) -> Result:
    options = conditions.options.calibration
    assert options is not None  # noqa: S101 (Conditions.includes has said so)
    images = conditions.images
    return measure_calibration(
        model, images.validation, images.test, options, device=conditions.device, **conditions.statistics
    )


# Named as the options name them; the order is that of the rows.
FAMILIES: dict[str, Measure] = {
    "clean": _measure_clean,
    "adversarial": _measure_adversarial,
    "corruptions": _measure_corruptions,
    "out_of_distribution": _measure_detection,
    "calibration": _measure_calibration,
}
