"""A few images of each class, picked from all of them or read from a file without the rest."""

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lottery_pipeline.images.request import ImageError
from lottery_pipeline.images.splits import ImageSet, ImageSplits
from lottery_pipeline.images.splits_file import check_index, read_header
from lottery_pipeline.options.task import TaskName
from lottery_pipeline.reproducibility.files import stat_regular


def pick_samples(labels: Tensor, label: int, count: int, task: TaskName = "classification") -> Tensor:
    """Return the positions of ``count`` images of one class, or of all it has, evenly spaced.

    For dense tasks these are the images with a pixel of the class, or with the point in sight.
    """
    if task == "classification":
        belongs = labels == label
    elif task == "segmentation":
        belongs = (labels == label).flatten(1).any(1)
    else:
        belongs = labels[:, label, 2] == 1
    members = torch.nonzero(belongs).flatten()
    places = np.linspace(0, len(members) - 1, min(count, len(members))).round().astype(np.int64)
    return members[torch.from_numpy(places)]


def read_samples(path: str | Path, *, per_class: int, max_classes: int) -> ImageSplits:
    """Read some training images from a file of prepared images; the others are not touched.

    Args:
        path: what ``save_splits`` wrote. Its fingerprint is not checked, which would take all images.
        per_class: images of each class, evenly spaced.
        max_classes: the first so many classes have images.

    Returns:
        Splits with these training images and no others, under the fingerprint of the whole.

    Raises:
        ImageError: the file does not hold prepared images.
    """
    try:
        stat_regular(path)
        with safe_open(path, framework="pt") as file:
            header = read_header(file.metadata())
            check_index({name: file.get_slice(name) for name in file.keys()}, len(header.mean))  # noqa: SIM118
            labels, images = file.get_tensor("train.labels"), file.get_slice("train.images")
            classes = range(min(max_classes, len(header.class_names)))
            none = images[0:0]
            nothing = ImageSet(none, labels[0:0])
            rows = [pick_samples(labels, label, per_class, nothing.task) for label in classes]
            # An image with several classes or points is read once.
            chosen = torch.cat(rows) if nothing.task == "classification" else torch.cat(rows).unique()
            picked = [images[place : place + 1] for place in chosen.tolist()]
    except (SafetensorError, OSError) as error:
        raise ImageError(f"{path} is not a valid file of prepared images: {error}") from error
    train = ImageSet(torch.cat([none, *picked]), labels[chosen])
    return header.describe(train, nothing, nothing)
