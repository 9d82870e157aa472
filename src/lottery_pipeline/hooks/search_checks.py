"""The checks of models and searches before the first node: each method is asked whether it can work."""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery_pipeline.hooks.image_checks import Counts, find_expected
from lottery_pipeline.options import METHODS
from lottery_pipeline.options.methods import find_method

if TYPE_CHECKING:
    from lottery_pipeline.models.spec import ModelSpec
    from lottery_pipeline.search.outlook import Outlook
    from lottery_pipeline.sparsity.masks import Weights
    from lottery_pipeline.training.result import State


def check_model(parameters: Mapping[str, Any], project: Path, counts: Counts | None) -> None:
    """Refuse a network that does not exist or does not fit what is known of its images.

    Args:
        parameters: typed groups.
        project: folder where relative paths start.
        counts: of the images, if they are known.

    Raises:
        ValueError: one sentence.
    """
    from lottery_pipeline.models.choice import is_supernet
    from lottery_pipeline.models.names import is_factory
    from lottery_pipeline.models.registry import ensure_buildable

    name = parameters["model"].name
    if not is_supernet(name):
        ensure_buildable(name)
    spec = _stand_in_spec(parameters, project, counts)
    if _is_built_in(name) or find_expected(parameters, counts).image_size is not None:
        _list_weights(spec)
    elif is_factory(name):
        _check_factory(spec)


def find_theta_0(parameters: Mapping[str, Any], project: Path, counts: Counts | None) -> "State | None":
    """Read the weights that a user brings, and refuse those that this network cannot start from.

    Args:
        parameters: typed groups.
        project: folder where relative paths start.
        counts: of the images, if they are known.

    Returns:
        theta_0, or None if it is drawn, or if only the images can tell whether the weights fit.

    Raises:
        WeightsError: they are not there, cannot be read, or are those of another network; one sentence.
    """
    from lottery_pipeline.models.names import ModelError
    from lottery_pipeline.models.weights.choice import MisfitError
    from lottery_pipeline.training.theta_0 import read_theta_0

    model = parameters["model"].resolve(project)
    if model.weights is None:
        return None
    spec = _stand_in_spec(parameters, project, counts)
    try:
        return read_theta_0(spec, model.weights, seed=parameters["seed"], allow_factory=model.name).state
    except (MisfitError, ModelError):
        if find_expected(parameters, counts).image_size is not None:
            raise
        return None


def check_method(name: str, parameters: Mapping[str, Any], outlook: "Outlook") -> None:
    """Ask a method itself whether its options can work on this network.

    Args:
        name: of a method or a composition.
        parameters: typed groups.
        outlook: the same for all methods of a run, so that the network is built once.

    Raises:
        UnfitError: no options can, because of the network or its images; one sentence.
        ValueError: they cannot; one sentence.
    """
    from lottery_pipeline.methods import CHECKS
    from lottery_pipeline.search.trial import UnfitError
    from lottery_pipeline.sparsity.allocation import kept_count

    method = find_method(name)
    group, task = parameters[name], parameters["data"].task
    if task != "classification" and not method.any_task:
        able = ", ".join(other.name for other in METHODS.values() if other.any_task)
        raise UnfitError(f"needs images with classes, but data.task is {task}, which {able} can do")
    options = group.extraction
    counts_here = method.has_density and not method.own_network and options.density is not None
    if counts_here and outlook.network is not None:
        kept_count(options.density, _count(_list_weights(outlook.network)))
    if not (outlook.is_built_in or method.own_network or outlook.trial is None):
        outlook.trial.try_counting()
    check = CHECKS.get(method.name)
    last = None if check is None else check(outlook, options)
    if last is None or not hasattr(group, "controls"):
        return
    for rung in group.controls.rungs if group.controls.kinds else ():
        if rung > last:
            raise ValueError(
                f"controls.rungs has {rung}, but this search has rungs 0 to {last} (-1 is the last)"
            )


def look_ahead(parameters: Mapping[str, Any], project: Path, counts: Counts | None) -> "Outlook":
    """Collect what is known of the searches of a run before its images are read."""
    from lottery_pipeline.search.outlook import Outlook

    return Outlook(
        spec=_stand_in_spec(parameters, project, counts),
        is_built_in=_is_built_in(parameters["model"].name),
        size_is_known=find_expected(parameters, counts).image_size is not None,
        task=parameters["data"].task,
        recipe=parameters["retraining"].recipe(parameters["pretraining"]),
        find_initial=partial(find_theta_0, parameters, project, counts),
    )


def list_prunable(parameters: Mapping[str, Any], project: Path, counts: Counts | None) -> "Weights | None":
    """Return the prunable weights of the network, without memory; None if its images are not known."""
    outlook = look_ahead(parameters, project, counts)
    return _list_weights(outlook.spec) if outlook.is_built_in or outlook.size_is_known else None


def _is_built_in(name: str) -> bool:
    """Whether a network can be built before its images are known; the images of others may have to fit."""
    from lottery_pipeline.models.choice import is_supernet
    from lottery_pipeline.models.names import BUILT_IN_MODELS

    return name in BUILT_IN_MODELS or is_supernet(name)


def _check_factory(spec: "ModelSpec") -> None:
    """Refuse a network of the user's own that no image would fit; others may not fit those stood in for."""
    from lottery_pipeline.models.names import ModelError
    from lottery_pipeline.models.refusal import RefusalError
    from lottery_pipeline.models.registry import build_model

    try:
        build_model(spec, seed=0, device="meta", allow_factory=spec.name)
    except RefusalError:
        raise
    except ModelError:
        return


def _count(weights: "Weights") -> int:
    return sum(math.prod(weight.shape) for weight in weights.values())


def _list_weights(spec: "ModelSpec") -> "Weights":
    """Return the prunable weights of a network, without allocating more than a factory does."""
    from lottery_pipeline.models.prunable import check_ignore_layers, prunable_parameters
    from lottery_pipeline.models.registry import build_model

    model = build_model(spec, seed=0, device="meta", allow_factory=spec.name)
    check_ignore_layers(model, spec.ignore_layers)
    return {**prunable_parameters(model, spec.ignore_layers)}


def _stand_in_spec(parameters: Mapping[str, Any], project: Path, counts: Counts | None) -> "ModelSpec":
    """Specify the network before its images are read; what nobody knows of them yet is stood in for."""
    from lottery_pipeline.models.choice import specify_model
    from lottery_pipeline.search.outlook import STANDING_IN

    model, data = parameters["model"].resolve(project), parameters["data"]
    expected = find_expected(parameters, counts)
    mean, std = (0.5,) * expected.channels, (0.25,) * expected.channels
    if (own := model.find_statistics(expected.channels)) and expected.channels_are_known:
        mean, std = own
    spec = specify_model(
        model.name,
        ignore_layers=model.ignore_layers,
        num_classes=expected.num_classes,
        channels=expected.channels,
        image_size=expected.image_size or (STANDING_IN, STANDING_IN),
        mean=mean,
        std=std,
        task=data.task,
    )
    if spec.supernet is None or expected.image_size is not None:
        return spec
    side = max(STANDING_IN, spec.supernet.stride)
    return spec.model_copy(update={"image_size": (side, side)})
