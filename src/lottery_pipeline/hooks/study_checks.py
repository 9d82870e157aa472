"""The checks of the studies of SuperTickets before the first node."""

from collections.abc import Mapping
from typing import Any

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
