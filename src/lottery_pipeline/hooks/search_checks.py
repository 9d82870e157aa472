"""The checks of models and searches before the first node: each method is asked whether it can work."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery_pipeline.hooks.image_checks import RECIPES
from lottery_pipeline.images.request import SOURCES
from lottery_pipeline.options import COMPOSITIONS, METHODS

if TYPE_CHECKING:
    from lottery_pipeline.models.spec import ModelSpec
    from lottery_pipeline.search.outlook import Outlook

ROBUSTNESS = "robustness_evaluation"
ATTACKED = (*RECIPES, ROBUSTNESS)
_STANDING_IN = 32  # height and width of images not read yet, pixels


def check_model(parameters: Mapping[str, Any], project: Path) -> None:
    """Refuse a network that does not exist or does not fit what is known of its images.

    Args:
        parameters: typed groups.
        project: folder where relative paths start.

    Raises:
        ValueError: one sentence.
    """
    from lottery_pipeline.images.expected import expect_images
    from lottery_pipeline.models.choice import is_supernet
    from lottery_pipeline.models.names import is_factory
    from lottery_pipeline.models.registry import ensure_buildable

    name = parameters["model"].name
    if not is_supernet(name):
        ensure_buildable(name)
    spec = _stand_in_spec(parameters, project)
    if _is_built_in(name) or expect_images(parameters["data"]).image_size is not None:
        _count_prunable(spec)
    elif is_factory(name):
        _check_factory(spec)


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

    method = COMPOSITIONS[name][1] if name in COMPOSITIONS else METHODS[name]
    group, task = parameters[name], parameters["data"].task
    if task != "classification" and not method.any_task:
        able = ", ".join(other.name for other in METHODS.values() if other.any_task)
        raise UnfitError(f"needs images with classes, but data.task is {task}, which {able} can do")
    options = group.extraction
    counts_here = method.has_density and not method.own_network and options.density is not None
    if counts_here and outlook.network is not None:
        kept_count(options.density, _count_prunable(outlook.network))
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


def check_gradients(name: str, parameters: Mapping[str, Any], outlook: "Outlook") -> None:
    """Try the gradient by the pixels, where attacks are asked for.

    Args:
        name: of the group that may ask for them, one of ``ATTACKED``.
        parameters: typed groups.
        outlook: has the network.

    Raises:
        UnfitError: the network cuts it off, so its robustness cannot be measured; one sentence.
        ValueError: the same of a recipe, which nothing can do without.
    """
    from lottery_pipeline.robustness.gradient_checks import check_gradients as check
    from lottery_pipeline.search.trial import UnfitError

    options = parameters[name]
    asked = options.adversarial if name == ROBUSTNESS else options.adversary
    # Of the networks of this package it is known, and other tasks than classification have no attacks.
    if asked is None or outlook.is_built_in or outlook.task != "classification" or outlook.trial is None:
        return
    trial = outlook.trial
    try:
        trial.attempt("pixels", lambda: check(trial.model, trial.images, trial.labels), "attack")
    except UnfitError as error:
        if name == ROBUSTNESS:
            raise UnfitError(f"{error}; set {name}.adversarial to null to measure the rest") from error
        raise ValueError(f"{name}.adversary: {error}") from error


def check_arms(parameters: Mapping[str, Any]) -> None:
    """Check that the intervals of every arm of the SuperTickets study can work.

    Raises:
        ValueError: those of one cannot; one sentence.
    """
    from lottery_pipeline.methods.supertickets.schedule import plan_events
    from lottery_pipeline.options.supertickets_study import ARMS

    extraction = parameters["supertickets"].extraction
    epochs = extraction.epochs or parameters["retraining"].recipe(parameters["pretraining"]).epochs
    for name in parameters["supertickets_study"].arms:
        options = ARMS[name].options(extraction)
        if epochs is not None:
            plan_events(options, epochs, 1 - options.density)


def check_transfer(parameters: Mapping[str, Any]) -> None:
    """Check that there are labels for every task, and that one recipe and one density fit them all.

    Raises:
        ValueError: they do not; one sentence.
    """
    source, tasks = parameters["data"].source, parameters["supertickets_transfer"].tasks
    missing = [task for task in tasks if task not in SOURCES[source]]
    if missing:
        raise ValueError(
            f"tasks has {missing[0]}, but data.source {source} has labels for {', '.join(SOURCES[source])} "
            "only; canvases has labels for all three"
        )
    if parameters["supertickets"].extraction.density_of != "supernet":
        raise ValueError(
            "supertickets.extraction.density_of must be supernet, because the network of model.name differs "
            "between tasks"
        )
    recipe = parameters["retraining"].recipe(parameters["pretraining"])
    if "keypoints" in tasks and (recipe.flip or recipe.label_smoothing):
        fault = "flip" if recipe.flip else "label_smoothing"
        raise ValueError(f"tasks has keypoints, which the recipe's {fault} does not fit; switch it off")


def look_ahead(parameters: Mapping[str, Any], project: Path) -> "Outlook":
    """Collect what is known of the searches of a run before its images are read."""
    from lottery_pipeline.images.expected import expect_images
    from lottery_pipeline.search.outlook import Outlook

    return Outlook(
        spec=_stand_in_spec(parameters, project),
        is_built_in=_is_built_in(parameters["model"].name),
        size_is_known=expect_images(parameters["data"]).image_size is not None,
        task=parameters["data"].task,
        recipe=parameters["retraining"].recipe(parameters["pretraining"]),
    )


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


def _count_prunable(spec: "ModelSpec") -> int:
    """Return the number of prunable weights of a network, without allocating more than a factory does."""
    from lottery_pipeline.models.prunable import check_ignore_layers, prunable_parameters
    from lottery_pipeline.models.registry import build_model

    model = build_model(spec, seed=0, device="meta", allow_factory=spec.name)
    check_ignore_layers(model, spec.ignore_layers)
    weights = prunable_parameters(model, spec.ignore_layers)
    return sum(math.prod(weight.shape) for weight in weights.values())


def _stand_in_spec(parameters: Mapping[str, Any], project: Path) -> "ModelSpec":
    """Specify the network before its images are read; what nobody knows of them yet is stood in for."""
    from lottery_pipeline.images.expected import expect_images
    from lottery_pipeline.models.choice import specify_model

    model, data = parameters["model"].resolve(project), parameters["data"]
    expected = expect_images(data)
    spec = specify_model(
        model.name,
        ignore_layers=model.ignore_layers,
        num_classes=expected.num_classes,
        channels=expected.channels,
        image_size=expected.image_size or (_STANDING_IN, _STANDING_IN),
        mean=(0.5,) * expected.channels,
        std=(0.25,) * expected.channels,
        task=data.task,
    )
    if spec.supernet is None or expected.image_size is not None:
        return spec
    side = max(_STANDING_IN, spec.supernet.stride)
    return spec.model_copy(update={"image_size": (side, side)})
