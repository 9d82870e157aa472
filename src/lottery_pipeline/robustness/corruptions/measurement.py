"""How often a network is right on corrupted images, cell by cell, and on new test sets."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lottery_pipeline import __version__
from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint
from lottery_pipeline.robustness.corruptions.names import CLEAN, MEAN, describe_cell
from lottery_pipeline.robustness.corruptions.preparation import CorruptedImages
from lottery_pipeline.robustness.rows import Row, make_row
from lottery_pipeline.statistics.intervals import Interval
from lottery_pipeline.statistics.paired import bootstrap_interval
from lottery_pipeline.statistics.proportions import wilson_interval
from lottery_pipeline.training.evaluation import predict


def measure_corruptions(
    model: nn.Module,
    corrupted: CorruptedImages,
    *,
    seed: int,
    resamples: int,
    confidence: float,
    device: torch.device | str = "cpu",
    checkpoints: Checkpoints | None = None,
    identity: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Run a network on clean, corrupted and new images, in float32 and evaluation mode.

    Args:
        model: pixels in [0, 1] -> logits; it is moved to the device and its modes are restored.
        corrupted: of ``prepare_corrupted``.
        seed: of the bootstrap.
        resamples: of the bootstrap.
        confidence: of the intervals.
        device: where to compute.
        checkpoints: where the finished cells of a long measurement are saved; None saves nothing.
        identity: what determines the network, as plain JSON, for the checkpoints.

    Returns:
        Plain JSON: ``source``; ``cells``, each with ``corruption``, ``severity``, ``error`` and ``n``;
        ``right``, for each image the number of cells in which it is classified correctly; ``clean_error``;
        and ``rows`` of accuracies. Those of clean images, of a cell and of a new test set have Wilson
        intervals. The mean over a corruption's severities (setting: its name) and that over all cells
        (setting ``mean``) have bootstrap intervals over the images.
    """
    whole = {"computation": "corruptions", "version": __version__, "images": corrupted.identity}
    own = fingerprint(whole | {"model": identity})
    saved = None if checkpoints is None else checkpoints.load(own)
    right: dict[str, Tensor] = {} if saved is None else saved[0]
    settings = dict(_list_settings(corrupted))
    for setting, read in settings.items():
        if setting in right:
            continue
        image_set = read()
        right[setting] = predict(model, image_set, device=device).classes == image_set.labels
        if checkpoints is not None and checkpoints.is_due():
            checkpoints.save(own, right, {"finished": False})
    if checkpoints is not None:
        checkpoints.save(own, right, {"finished": True})
    cells = [(name, severity, right[describe_cell(name, severity)]) for name, severity in corrupted.cells]

    def bootstrap(parts: list[Tensor]) -> Interval:
        shares = torch.stack(parts).double().mean(0).numpy()
        return bootstrap_interval(shares, resamples=resamples, seed=seed, confidence=confidence)

    rows: list[Row] = []
    for setting in settings:  # a checkpoint has an order of its own
        interval = wilson_interval(int(right[setting].sum()), len(right[setting]), confidence)
        rows.append(make_row("corruption", setting, "accuracy", interval))
    for name in dict(corrupted.cells):
        interval = bootstrap([found for other, _, found in cells if other == name])
        rows.append(make_row("corruption", name, "accuracy", interval))
    everything = [found for _, _, found in cells]
    rows.append(make_row("corruption", MEAN, "accuracy", bootstrap(everything)))
    return {
        "source": corrupted.source,
        "rows": rows,
        "cells": [
            {"corruption": name, "severity": severity, "error": _error(found), "n": len(found)}
            for name, severity, found in cells
        ],
        "right": torch.stack(everything).sum(0).tolist(),
        "clean_error": _error(right[CLEAN]),
    }


def _list_settings(corrupted: CorruptedImages) -> Iterator[tuple[str, Callable[[], ImageSet]]]:
    """Yield the setting of each row of accuracy and how its images are read."""
    yield CLEAN, lambda: corrupted.clean
    for name, severity in corrupted.cells:
        yield describe_cell(name, severity), partial(corrupted.read, name, severity)
    for name in corrupted.new_sets:
        yield name, partial(corrupted.new_sets.__getitem__, name)


def _error(right: Tensor) -> float:
    return int((~right).sum()) / len(right)
