"""From a request to prepared images: find, split, read, measure."""

import hashlib
import logging

import numpy as np
import torch
from torch import Tensor

from lottery_pipeline.images.labelled import Source
from lottery_pipeline.images.memory import IMAGES_PER_CHUNK
from lottery_pipeline.images.partition import partition_images
from lottery_pipeline.images.request import ImageRequest
from lottery_pipeline.images.sources import check_request, find_source
from lottery_pipeline.images.splits import ImageSet, ImageSplits, assemble_splits
from lottery_pipeline.images.stored import StoredImages
from lottery_pipeline.reproducibility.fingerprints import fingerprint

__all__ = ["check_request", "prepare_images"]

logger = logging.getLogger(__name__)

# Raise it when the same request would give different pixels or splits.
PREPARATION_VERSION = 1


def prepare_images(request: ImageRequest, *, seed: int, stored: ImageSplits | None = None) -> ImageSplits:
    """Prepare the images of a request, or return the stored ones if they belong to the same request.

    Args:
        request: which images; ``root`` is absolute or relative to the working directory.
        seed: of the splits.
        stored: splits made earlier, which are returned if request, seed and files are unchanged.

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
    # All parts are read at once and become views of one tensor: they agree in size and channels.
    if images.read_both is None:
        pixels, labels = images.read(indices), torch.from_numpy(images.labels[indices])
    else:
        pixels, labels = images.read_both(indices)
    sizes = [len(part) for part in partition]
    train, validation, test = map(ImageSet, pixels.split(sizes), labels.split(sizes))
    _warn_of_duplicates(train, validation, test)
    names = images.target_names or images.class_names
    splits = assemble_splits(train, validation, test, names, request=key, source=request.source)
    logger.info(
        "images: %d train, %d validation, %d test, %d %s, %d channels, %dx%d pixels",
        *sizes,
        splits.num_classes,
        "points" if splits.task == "keypoints" else "classes",
        splits.channels,
        *splits.image_size,
    )
    return splits


def _fingerprint_request(request: ImageRequest, source: Source, seed: int) -> str:
    record = {"version": PREPARATION_VERSION, "seed": seed, "content": source.content}
    # Without the usual task, so that classification keeps the fingerprint it had before there were others.
    usual = {"task"} if request.task == "classification" else set()
    asked = request.model_dump(exclude={"storage", *usual})
    return fingerprint(record | {"request": asked})


def _warn_of_duplicates(train: ImageSet, validation: ImageSet, test: ImageSet) -> None:
    """Warn of test and validation images with an exact duplicate in another part: they flatter accuracy."""
    train_hashes, validation_hashes = set(_hash_images(train.images)), set(_hash_images(validation.images))
    counts = {
        "test": sum(h in train_hashes or h in validation_hashes for h in _hash_images(test.images)),
        "validation": sum(h in train_hashes for h in _hash_images(validation.images)),
    }
    for part, count in counts.items():
        if count:
            logger.warning("images: %d %s images are exact duplicates of training images", count, part)


def _hash_images(images: Tensor | StoredImages) -> list[bytes]:
    batches = images.split(IMAGES_PER_CHUNK)
    return [hashlib.blake2b(image, digest_size=16).digest() for batch in batches for image in batch.numpy()]
