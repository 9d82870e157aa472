"""What errors under corruption add up to: means, errors against a reference network, prune potential.

Errors are fractions, ``{corruption: [one for each severity]}``. The mean is over the fifteen test corruptions
of arXiv 1903.12261 or some of them; the four for validation are refused.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from statistics import fmean
from typing import Any, NamedTuple

from lottery_pipeline.robustness.corruptions.names import (
    CLEAN,
    MEAN,
    TEST_CORRUPTIONS,
    VALIDATION_CORRUPTIONS,
)
from lottery_pipeline.robustness.rows import Row, make_row

Errors = Mapping[str, Sequence[float]]

MARGIN = 0.005
# Accuracies of the same fraction may differ in the last bit.
_ROUNDING = 1e-9


class CorruptionError(NamedTuple):
    """Errors in units of those of a reference network.

    Attributes:
        mean: over the corruptions; 1 is as good as the reference; None if one of them is None.
        by_corruption: None where the reference has no error to divide by.
        fault: why the mean is None, in a sentence; else None.
    """

    mean: float | None
    by_corruption: dict[str, float | None]
    fault: str | None


def gather_errors(cells: Iterable[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Return the errors of the cells of ``measure_corruptions``, in their order."""
    errors: dict[str, list[float]] = defaultdict(list)
    for cell in cells:
        errors[cell["corruption"]].append(cell["error"])
    return dict(errors)


def mean_corruption_error(errors: Errors, reference: Errors) -> CorruptionError:
    """Return CE and mCE (arXiv 1903.12261): the sum of errors over severities, by that of the reference.

    The paper's reference is AlexNet. There is none for CIFAR, so ours is the dense network.

    Raises:
        ValueError: there are no errors, the corruptions differ in their number of severities, one is not
            among the fifteen, or the two were measured on other cells.
    """
    return _divide(errors, reference, 0.0, 0.0)


def relative_corruption_error(
    errors: Errors, reference: Errors, *, clean: float, reference_clean: float
) -> CorruptionError:
    """Return relative CE and mCE: as above, after each network's clean error is subtracted.

    Args:
        errors: of the network.
        reference: of the reference network, on the same cells.
        clean: error of the network on the images as they were.
        reference_clean: that of the reference.

    Raises:
        ValueError: see ``mean_corruption_error``.
    """
    return _divide(errors, reference, clean, reference_clean)


def _divide(errors: Errors, reference: Errors, clean: float, reference_clean: float) -> CorruptionError:
    _check(errors)
    _check(reference)
    if {name: len(errors[name]) for name in errors} != {name: len(reference[name]) for name in reference}:
        raise ValueError("the network and its reference must be measured on the same corruption cells")
    ratios: dict[str, float | None] = {}
    for name in errors:
        bottom = fsum(error - reference_clean for error in reference[name])
        top = fsum(error - clean for error in errors[name])
        ratios[name] = top / bottom if bottom > _ROUNDING else None
    known = [ratio for ratio in ratios.values() if ratio is not None]
    without = [name for name, ratio in ratios.items() if ratio is None]
    if without:
        fault = f"the reference loses nothing under {', '.join(without)}, so there is nothing to divide by"
        return CorruptionError(None, ratios, fault)
    return CorruptionError(fmean(known), ratios, None)


def _check(errors: Errors) -> None:
    for name in errors:
        if name in VALIDATION_CORRUPTIONS:
            raise ValueError(f"{name} is for validation only and must not enter the mean")
        if name not in TEST_CORRUPTIONS:
            raise ValueError(f"{name!r} is not a valid corruption; allowed are {', '.join(TEST_CORRUPTIONS)}")
    lengths = {len(column) for column in errors.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError("every corruption must have the same number of severities, at least one")


def compare_with_reference(
    measured: Mapping[str, Any], reference: Mapping[str, Any]
) -> tuple[list[Row], list[str]]:
    """Return rows of CE, mCE and their relative forms, and a sentence for each mean that has no value.

    Args:
        measured: of ``measure_corruptions``.
        reference: the same of the reference network, on the same corrupted images.

    Raises:
        ValueError: see ``mean_corruption_error``.
    """
    errors, theirs = gather_errors(measured["cells"]), gather_errors(reference["cells"])
    cleans = {"clean": measured["clean_error"], "reference_clean": reference["clean_error"]}
    found = {
        "": mean_corruption_error(errors, theirs),
        "relative_": relative_corruption_error(errors, theirs, **cleans),
    }
    rows, faults, count = [], [], len(measured["right"])
    for form, error in found.items():
        for name, value in error.by_corruption.items():
            rows.append(make_row("corruption", name, f"{form}corruption_error", value, n=count))
        rows.append(make_row("corruption", MEAN, f"{form}mean_corruption_error", error.mean, n=count))
        if error.fault is not None:
            faults.append(f"{form}mean_corruption_error: {error.fault}")
    return rows, faults


def prune_potential(accuracies: Mapping[float, float], margin: float = MARGIN) -> float:
    """Return the highest sparsity whose accuracy is within a margin of the dense network (arXiv 2103.03014).

    Args:
        accuracies: by density; density 1 is the dense network.
        margin: fraction of images that may be lost.

    Returns:
        1 - density; 0 if no ticket is good enough.

    Raises:
        ValueError: the dense network is missing.
    """
    if 1 not in accuracies:
        raise ValueError("the prune potential needs the accuracy of the dense network (density 1)")
    least = accuracies[1] - margin - _ROUNDING
    return 1 - min(density for density, accuracy in accuracies.items() if accuracy >= least)


def find_prune_potentials(rows: Iterable[Mapping[str, Any]], margin: float = MARGIN) -> list[Row]:
    """Return the prune potential on clean images, under each corruption and under their mean.

    Args:
        rows: of ``measure_corruptions`` with their ``density``, all of one dense network; of networks of the
            same density the best counts. Rows of other metrics and of single severities are passed over.
        margin: see ``prune_potential``.

    Raises:
        ValueError: a setting has no row of the dense network.
    """
    accuracies: dict[str, dict[float, float]] = defaultdict(dict)
    counts: dict[str, int | None] = {}
    for row in rows:
        is_whole = row["setting"] in (CLEAN, MEAN, *TEST_CORRUPTIONS)
        if row["family"] == "corruption" and row["metric"] == "accuracy" and is_whole:
            found, density = accuracies[row["setting"]], row["density"]
            found[density] = max(row["value"], found.get(density, 0.0))
            counts[row["setting"]] = row["n"]
    return [
        make_row("corruption", setting, "prune_potential", prune_potential(found, margin), n=counts[setting])
        for setting, found in accuracies.items()
    ]
