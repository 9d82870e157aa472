"""The checks of the studies of SuperTickets before the first node."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lottery_pipeline.hooks.image_checks import Counts
from lottery_pipeline.hooks.search_checks import look_ahead
from lottery_pipeline.images.expected import expect_images
from lottery_pipeline.images.request import SOURCES


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


def check_transfer(parameters: Mapping[str, Any], project: Path, counts: Counts | None) -> None:
    """Check that there are labels for every task, and that one recipe and one search fit them all.

    Args:
        parameters: typed groups.
        project: folder where relative paths start.
        counts: of the images, if they are known.

    Raises:
        ValueError: they do not; one sentence.
    """
    from lottery_pipeline.methods import CHECKS

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
    outlook, data = look_ahead(parameters, project, counts), parameters["data"]
    for task in [task for task in tasks if task != data.task]:  # that one is checked like any other search
        classes = expect_images(data.model_copy(update={"task": task})).num_classes
        other = replace(outlook, task=task, spec=outlook.spec.model_copy(update={"num_classes": classes}))
        try:
            CHECKS["supertickets"](other, parameters["supertickets"].extraction)
        except ValueError as error:
            raise ValueError(f"tasks has {task}, but {error}") from error
