"""The checks of images before the first node: labels are read where that is cheap, and no file is decoded."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

RECIPES = ("pretraining", "retraining", "sparse_retraining")
_TRIGGER_SETS = 4


@dataclass(frozen=True)
class Counts:
    """What the labels tell of a data set.

    Attributes:
        train: number of training images.
        classes: number of outputs of a network.
    """

    train: int
    classes: int


def count_images(parameters: Mapping[str, Any], project: Path) -> Counts | None:
    """Divide the images of a run by their labels; None if they are to be downloaded first.

    Args:
        parameters: typed groups.
        project: folder where relative paths start.

    Raises:
        ImageError: the images are missing or cannot be used, a class is too small for the parts, or a part
            would be empty.
    """
    from lottery_pipeline.images.sources import find_source

    request = parameters["data"].resolve(project)
    source = find_source(request)
    if not source.is_complete:
        return None
    from lottery_pipeline.images.partition import partition_images

    seed = parameters["seed"]
    images = source.load(seed)
    parts = partition_images(images, request, seed=seed)
    return Counts(len(parts.train), len(images.target_names or images.class_names))


def check_recipe(name: str, parameters: Mapping[str, Any], counts: Counts | None) -> None:
    """Refuse a recipe that does not fit the images; say where a batch takes all of them.

    Args:
        name: of the group.
        parameters: typed groups.
        counts: of the images, if they are known.

    Raises:
        RecipeError: it does not fit; one sentence.
    """
    from lottery_pipeline.images.expected import expect_images
    from lottery_pipeline.training.fit import check_fit

    pretraining, data = parameters["pretraining"], parameters["data"]
    recipe = pretraining.recipe() if name == "pretraining" else parameters[name].recipe(pretraining)
    size, train = expect_images(data).image_size, None if counts is None else counts.train
    check_fit(recipe, images=train, image_size=size, task=data.task)
    if train is None:
        return
    recipe.rewind_step(train, pretraining.rewind_epoch)
    if recipe.batch_size > train and name == "pretraining":
        logger.warning(
            "pretraining.batch_size is %d, but there are %d training images: each step takes them all.",
            recipe.batch_size,
            train,
        )


def check_triggers(parameters: Mapping[str, Any], counts: Counts | None) -> None:
    """Refuse trigger sets of stamped images for which there are too few images or classes.

    Raises:
        ValueError: there are too few; one sentence.
    """
    options = parameters["signature_embedding"]
    if counts is None or options.trigger_family != "pattern":
        return
    if counts.classes < 3:
        raise ValueError("trigger_family pattern needs 3 classes or more, but there are 2; choose shapes")
    if _TRIGGER_SETS * options.trigger_images > counts.train:
        raise ValueError(
            f"trigger_images is {options.trigger_images}, but {_TRIGGER_SETS} sets of stamped images from "
            f"{counts.train} training images have at most {counts.train // _TRIGGER_SETS} each"
        )
