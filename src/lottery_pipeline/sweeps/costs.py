"""What a point will cost, in epochs-equivalents, before anything runs."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lottery_pipeline.options import (
    OBJECTIVE_PASSES,
    SEARCH_LENGTHS,
    TRAINING_PASSES,
    ImpOptions,
    MaskSearchOptions,
    StartOptions,
    SuperticketOptions,
)
from lottery_pipeline.sweeps.grid import OPTIONS

Epochs = float | None  # None: nobody knows before the images are read


def plan_epochs(methods: Iterable[str], parameters: Mapping[str, Any]) -> dict[str, Epochs]:
    """Return what methods will cost beyond the dense run.

    Args:
        methods: methods and compositions of a point.
        parameters: its groups, as plain values.

    Returns:
        ``search``, counted as ``Extraction.search_epochs`` counts it, and ``train``: retraining and controls.
        Scores on a few images, which cost less than an epoch, count 0.
    """
    epochs = _length(parameters)
    rewind = parameters["pretraining"]["rewind_epoch"]
    search: Epochs = 0.0
    train: Epochs = 0.0
    for name in methods:
        options = parameters[name]["extraction"]
        start = rewind if name == "ltr" or options.get("start") == "rewind" else 0.0
        own = None if epochs is None else epochs - start
        search = _add(search, _count(OPTIONS[name], options, own, epochs))
        controls = parameters[name].get("controls", {})
        trained = 1 + len(controls.get("kinds", ())) * len(controls.get("rungs", ()))
        train = _add(train, None if own is None else own * trained)
    return {"search": search, "train": train}


def _length(parameters: Mapping[str, Any]) -> Epochs:
    """Return the epochs of retraining; None if they are counted in iterations."""
    changes = parameters["retraining"]
    if changes.get("iterations") is not None:
        return None
    epochs = changes.get("epochs") or parameters["pretraining"]["epochs"]
    return None if epochs is None else float(epochs)


def _count(kind: type, options: Mapping[str, Any], own: Epochs, epochs: Epochs) -> Epochs:
    for known, count in _COUNTS.items():
        if issubclass(kind, known):
            return count(options, own, epochs)
    return None


def _count_rounds(options: Mapping[str, Any], own: Epochs, _epochs: Epochs) -> Epochs:
    if options["layer_rates"] or own is None:
        return None
    rounds = options["rounds"]
    if rounds is None:
        kept, rate = options["density"], options["rate"]
        rounds = 0 if kept == 1 else math.ceil(round(math.log(kept) / math.log(1 - rate), 6))
    return own * (min(rounds, 1) if options["one_shot"] else rounds)


def _count_mask_search(options: Mapping[str, Any], _own: Epochs, epochs: Epochs) -> Epochs:
    length, objective = options["length"], options.get("objective")
    if options["density"] == 1:
        return 0.0
    if isinstance(length, str):
        length = None if epochs is None else SEARCH_LENGTHS[length] * epochs
    passes = OBJECTIVE_PASSES[objective] if objective else TRAINING_PASSES
    return None if length is None else length * passes / TRAINING_PASSES


def _count_supertickets(options: Mapping[str, Any], _own: Epochs, epochs: Epochs) -> Epochs:
    return options["epochs"] or epochs


def _count_scores(_options: Mapping[str, Any], _own: Epochs, _epochs: Epochs) -> Epochs:
    return 0.0


_COUNTS: dict[type, Callable[[Mapping[str, Any], Epochs, Epochs], Epochs]] = {
    ImpOptions: _count_rounds,
    MaskSearchOptions: _count_mask_search,  # before StartOptions, which it is one of
    SuperticketOptions: _count_supertickets,
    StartOptions: _count_scores,
}


def _add(total: Epochs, more: Epochs) -> Epochs:
    return None if total is None or more is None else total + more
