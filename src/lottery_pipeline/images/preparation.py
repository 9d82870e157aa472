"""From a request to prepared images: find, split, read, measure."""

import logging
import math
from pathlib import Path

import numpy as np
import torch

from lottery_pipeline.images.disk_preparation import prepare_on_disk
from lottery_pipeline.images.duplicates import hash_images, warn_of_duplicates
from lottery_pipeline.images.labelled import LabelledImages, Partition, Source
from lottery_pipeline.images.memory import choose_storage
from lottery_pipeline.images.partition import partition_images
from lottery_pipeline.images.request import ImageRequest
from lottery_pipeline.images.sources import check_request, find_source
from lottery_pipeline.images.splits import PARTS, ImageSet, ImageSplits, assemble_splits
from lottery_pipeline.reproducibility.fingerprints import fingerprint

__all__ = ["check_request", "prepare_images"]

logger = logging.getLogger(__name__)

# Raise it when the same request would give different pixels or splits.
PREPARATION_VERSION = 1


def prepare_images(
    request: ImageRequest, *, seed: int, stored: ImageSplits | None = None, path: Path | None = None
) -> ImageSplits:
    """Prepare the images of a request, or return the stored ones if they belong to the same request.

    Args:
        request: which images; ``root`` is absolute or relative to the working directory.
        seed: of the splits.
        stored: splits made earlier, which are returned if request, seed and files are unchanged.
        path: where the result is to be saved. A folder of images that is to be read from disk is prepared in
            a file beside it, with little memory; the preparation resumes after a kill.

    Returns:
        Train, validation and test parts with statistics of the training part.

    Raises:
        ImageError: the images are missing, damaged or too few; one sentence says which and where.
    """
    source = find_source(request)
    key = _fingerprint_request(request, source, seed)
    if stored is not None and stored.request == key:
        logger.info("images: the stored splits are up to date")
        return stored
    images = source.load(seed)
    if request.download:
        # Downloaded files are part of the key; otherwise the next run would prepare them again.
        key = _fingerprint_request(request, find_source(request), seed)
    partition = partition_images(images, request, seed=seed)
    indices = np.concatenate(partition)
    if path is not None and images.pieces is not None and _stays_on_disk(images, request, indices):
        splits = prepare_on_disk(images, partition, path, request=key, source=request.source)
    else:
        splits = _prepare_in_memory(images, partition, request=key, source=request.source)
    logger.info(
        "images: %d train, %d validation, %d test, %d %s, %d channels, %dx%d pixels, %s",
        *map(len, partition),
        splits.num_classes,
        "points" if splits.task == "keypoints" else "classes",
        splits.channels,
        *splits.image_size,
        "in memory" if splits.storage == "memory" else "on disk",
    )
    return splits


def _prepare_in_memory(
    images: LabelledImages, partition: Partition, *, request: str, source: str
) -> ImageSplits:
    """Read all parts at once; they become views of one tensor, so they agree in size and channels."""
    indices = np.concatenate(partition)
    if images.read_both is None:
        pixels, labels = images.read(indices), torch.from_numpy(images.labels[indices])
    else:
        pixels, labels = images.read_both(indices)
    sizes = [len(part) for part in partition]
    train, validation, test = map(ImageSet, pixels.split(sizes), labels.split(sizes))
    parts = zip(PARTS, (train, validation, test), strict=True)
    warn_of_duplicates({name: hash_images(part.images) for name, part in parts})
    names = images.target_names or images.class_names
    return assemble_splits(train, validation, test, names, request=request, source=source)


def _stays_on_disk(images: LabelledImages, request: ImageRequest, indices: np.ndarray) -> bool:
    if request.storage != "auto" or images.look is None:
        return request.storage == "disk"
    return choose_storage("auto", len(indices) * math.prod(images.look(indices))) == "disk"


def _fingerprint_request(request: ImageRequest, source: Source, seed: int) -> str:
    record = {"version": PREPARATION_VERSION, "seed": seed, "content": source.content}
    # Without the usual task, so that classification keeps the fingerprint it had before there were others.
    usual = {"task"} if request.task == "classification" else set()
    asked = request.model_dump(exclude={"storage", *usual})
    return fingerprint(record | {"request": asked})
