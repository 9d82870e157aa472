"""The checks of images before the first node: labels and headers are read, and no file is decoded."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lottery_pipeline.images.expected import ExpectedImages, expect_images

logger = logging.getLogger(__name__)

RECIPES = ("pretraining", "retraining", "sparse_retraining")


@dataclass(frozen=True)
class Counts:
    """What the labels tell of a data set.

    Attributes:
        train: number of training images.
        classes: number of outputs of a network.
        shape: channels, height and width of the images; None if only decoding them tells.
        test: number of test images; None if it does not matter.
    """

    train: int
    classes: int
    shape: tuple[int, int, int] | None = None
    test: int | None = None


def count_images(parameters: Mapping[str, Any], project: Path) -> Counts | None:
    """Divide the images of a run by their labels; None if they are to be downloaded first.

    Args:
        parameters: typed groups.
        project: folder where relative paths start.

    Raises:
        ImageError: the images are missing or cannot be used, a class is too small for the parts, a part
            would be empty, or the headers of files are broken or differ in size.
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
    classes = len(images.target_names or images.class_names)
    if images.look is not None:
        return Counts(len(parts.train), classes, images.look(np.concatenate(parts)), len(parts.test))
    known = expect_images(request)
    shape = known.image_size and (known.channels, *known.image_size)
    return Counts(len(parts.train), classes, shape, len(parts.test))


def find_expected(parameters: Mapping[str, Any], counts: Counts | None) -> ExpectedImages:
    """Return what is known of the images of a run; see ``expect_images``.

    Args:
        parameters: typed groups.
        counts: what was found, if anything was.
    """
    if counts is None or counts.shape is None:
        return expect_images(parameters["data"])
    channels, height, width = counts.shape
    return ExpectedImages(counts.classes, channels, (height, width))


def check_recipe(name: str, parameters: Mapping[str, Any], counts: Counts | None) -> None:
    """Refuse a recipe that does not fit the images; say where a batch takes all of them.

    Args:
        name: of the group.
        parameters: typed groups.
        counts: of the images, if they are known.

    Raises:
        RecipeError: it does not fit; one sentence.
    """
    from lottery_pipeline.training.fit import check_fit

    pretraining, data = parameters["pretraining"], parameters["data"]
    recipe = pretraining.recipe() if name == "pretraining" else parameters[name].recipe(pretraining)
    size, train = find_expected(parameters, counts).image_size, None if counts is None else counts.train
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
