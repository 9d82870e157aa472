"""Corrupted images, prepared once and the same for every network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from torch import Tensor

from lottery_pipeline.images.memory import free_bytes
from lottery_pipeline.images.request import ImageError
from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.images.stored import StoredImages
from lottery_pipeline.options.robustness import CorruptionOptions
from lottery_pipeline.reproducibility.files import describe_state
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.robustness.corruptions import CORRUPTIONS, corrupt
from lottery_pipeline.robustness.corruptions.array_files import find_array
from lottery_pipeline.robustness.corruptions.names import TEST_CORRUPTIONS
from lottery_pipeline.robustness.corruptions.new_test_sets import find_new_test_sets, read_new_test_sets
from lottery_pipeline.robustness.corruptions.published import find_published, read_published

C_LIKE = "C-like"
_LARGEST_SHARE_KEPT = 0.25  # of the memory that is free

Read = Callable[[str, int], ImageSet]


@dataclass(frozen=True, eq=False)
class CorruptedImages:
    """The same corrupted images for every network.

    Attributes:
        source: ``C-like`` (our generators), ``CIFAR-10-C`` or ``CIFAR-100-C`` (the published files).
        cells: corruption and severity, in order.
        clean: the images as they were.
        read: (corruption, severity) -> the corrupted images with their labels.
        new_sets: new test sets by name; they do not enter the mean.
        identity: what determines all of this, as plain JSON.
    """

    source: str
    cells: tuple[tuple[str, int], ...]
    clean: ImageSet
    read: Read
    new_sets: Mapping[str, ImageSet]
    identity: Mapping[str, Any]


def check_files(
    options: CorruptionOptions,
    *,
    num_classes: int | None = None,
    image_shape: tuple[int, ...] | None = None,
    test_images: int | None = None,
) -> None:
    """Check that the files that the options name are there and fit, before anything is trained.

    Args:
        options: name the files.
        num_classes: of the network.
        image_shape: (C, H, W) of its images. Without these two, only what is missing is found.
        test_images: number of test images, each of which must be in the published files.

    Raises:
        ImageError: one is missing, broken or pickled, or does not fit the network.
    """
    names = _choose_names(options)
    if num_classes is None or image_shape is None:
        if options.published is not None:
            for name in ("labels", *names):
                find_array(Path(options.published) / f"{name}.npy")
        for folder in options.new_test_sets:
            find_new_test_sets(folder)
        return
    fit: dict[str, Any] = {"num_classes": num_classes, "image_shape": image_shape}
    if options.published is not None:
        find_published(options.published, names=names, test_images=test_images, **fit)
    for folder in options.new_test_sets:
        read_new_test_sets(folder, **fit)


def prepare_corrupted(
    images: ImageSet, indices: Tensor, options: CorruptionOptions, *, num_classes: int, seed: int
) -> CorruptedImages:
    """Prepare the corruption of some test images: files are checked now, images are made when they are read.

    With published files all fifteen corruptions are read, unless the options name fewer than all of ours. A
    published image is the one at the same position; it shows the same as the clean image only if the test set
    is CIFAR's in its own order.

    Args:
        images: the test set, on the CPU.
        indices: int64 ``[N]``, positions in it, the same for every network.
        options: which corruptions and files; ``options.images`` is the caller's matter.
        num_classes: of the network.
        seed: of the draws.

    Raises:
        ImageError: the labels are not classes, there is no image, or a published file is not as it should be.
    """
    if images.task != "classification":
        raise ImageError(f"corruptions are measured for classification, but the labels are of {images.task}")
    positions = indices.tolist()
    if not positions:
        raise ImageError("there are no images to corrupt")
    pixels, labels = images.images[indices], images.labels[indices]
    shape = tuple(pixels.shape[1:])
    new_sets: dict[str, ImageSet] = {}
    for folder in options.new_test_sets:
        found = read_new_test_sets(folder, image_shape=shape, num_classes=num_classes)
        if twice := new_sets.keys() & found.keys():
            raise ImageError(f"new_test_sets has {min(twice)} in two folders; each set is measured once")
        new_sets |= found
    identity: dict[str, Any] = {"seed": seed, "options": options.model_dump(mode="json")}
    names = _choose_names(options)
    if options.published is None:
        source, read = C_LIKE, _make_reader(pixels, labels, positions, seed)
        size = len(names) * len(options.severities) * pixels.numel()
        # For the next network; where they are too large, they are generated again.
        read = cache(read) if size <= _LARGEST_SHARE_KEPT * free_bytes() else read
    else:
        published = find_published(
            options.published,
            image_shape=shape,
            num_classes=num_classes,
            names=names,
            test_images=len(images),
        )
        source, read = published.source, partial(read_published, published, indices=positions)
        identity["files"] = {name: describe_state(file.path.stat()) for name, file in published.files.items()}
    tensors: dict[str, Tensor | StoredImages] = {"images": pixels, "labels": labels, "indices": indices}
    for name, new_set in new_sets.items():
        tensors |= {f"{name} images": new_set.images, f"{name} labels": new_set.labels}
    identity["tensors"] = fingerprint_tensors(tensors)
    cells = tuple((name, severity) for name in names for severity in options.severities)
    return CorruptedImages(source, cells, ImageSet(pixels, labels), read, new_sets, identity)


def _choose_names(options: CorruptionOptions) -> tuple[str, ...]:
    everything = options.published is not None and set(options.names) == set(CORRUPTIONS)
    return TEST_CORRUPTIONS if everything else options.names


def _make_reader(pixels: Tensor, labels: Tensor, positions: list[int], seed: int) -> Read:
    def read(name: str, severity: int) -> ImageSet:
        return ImageSet(corrupt(pixels, name, severity, seed=seed, indices=positions), labels)

    return read
