"""Which image goes to which part: stratified, seeded, disjoint."""

import numpy as np

from lottery_pipeline.images.labelled import LabelledImages, Partition
from lottery_pipeline.images.request import ImageError, ImageRequest
from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.reproducibility.seeds import derive_seed

NUMPY_SEEDS = 2**32


def partition_images(images: LabelledImages, request: ImageRequest, *, seed: int) -> Partition:
    """Split by label only, before a pixel is read.

    A source that decides on all three parts keeps them. Otherwise the source's own test and validation parts
    are kept as they are. If there is no test part, ``test_fraction`` of the training images is set aside
    first. If there is no validation part, it is drawn from the rest. Then ``train_limit`` images are drawn
    from what remains, so a limit changes neither of the other two parts.

    Raises:
        ImageError: a part would have no images, or a class is too small to be in every part. In a dense task
            the labels only balance the parts, and none of them need be in each.
    """
    limit, classes = request.train_limit, len(images.class_names)
    if limit is not None and limit < classes and images.read_both is None:
        raise ImageError(
            f"data.train_limit is {limit}, but there are {classes} classes; allowed: {classes} or more"
        )
    train, validation, test = images.partition or _draw_parts(images, request, seed)
    if limit is not None and limit < len(train):
        train = _draw_stratified(train, images.labels, limit, derive_seed(seed, "images", "train_limit"))
        _check_every_class(images, train, f"train_limit {limit}")
    return Partition(train, validation, test)


def _draw_parts(images: LabelledImages, request: ImageRequest, seed: int) -> Partition:
    everything = np.arange(len(images.labels))
    ends = [images.train_count, images.train_count + images.validation_count]
    train, validation, test = np.split(everything, ends)
    if not len(test):
        test, train = _set_aside(images, train, request.test_fraction, "test_fraction", seed)
    if not len(validation) and request.validation_fraction:
        fraction = request.validation_fraction
        validation, train = _set_aside(images, train, fraction, "validation_fraction", seed)
    return Partition(train, validation, test)


def _set_aside(
    images: LabelledImages, indices: np.ndarray, fraction: float, field: str, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a stratified fraction; return it and the rest."""
    count = round(fraction * len(indices))
    drawn = _draw_stratified(indices, images.labels, count, derive_seed(seed, "images", field))
    rest = np.setdiff1d(indices, drawn, assume_unique=True)
    for part in (drawn, rest):
        _check_every_class(images, part, f"{field} {write_number(fraction)} of {_count(len(indices))}")
        if not len(part):
            raise ImageError(
                f"data.{field} is {write_number(fraction)}, which leaves a part without images; there are "
                f"{_count(len(indices))} to divide"
            )
    return drawn, rest


def _draw_stratified(indices: np.ndarray, labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    if not count:
        return indices[:0]
    from sklearn.utils import resample  # takes 130 MB of memory

    state = seed % NUMPY_SEEDS
    drawn = resample(indices, replace=False, n_samples=count, stratify=labels[indices], random_state=state)
    return np.sort(drawn)


def _check_every_class(images: LabelledImages, indices: np.ndarray, reason: str) -> None:
    if images.read_both is not None:
        return
    counts = np.bincount(images.labels[indices], minlength=len(images.class_names))
    if counts.all():
        return
    smallest = int(counts.argmin())
    total = int((images.labels[: images.train_count] == smallest).sum())
    raise ImageError(
        f"class {images.class_names[smallest]!r} with {_count(total)} is too small: data.{reason} "
        "leaves a part without it; add images, or change the fraction or limit"
    )


def _count(images: int) -> str:
    return f"{images:,} image{'' if images == 1 else 's'}"
