"""Calibration: the few training images on which weights, blocks and filters are scored."""

import logging

import torch
from torch import Tensor

from lottery_pipeline.images.splits import ImageSet, ImageSplits
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.training.augmentation import to_pixels

logger = logging.getLogger(__name__)


def take_pixels(images: ImageSet, indices: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return some images as pixels in [0, 1], [n, C, H, W], and their labels [n], without augmentation."""
    chosen = images.images[indices].to(device)
    return to_pixels(chosen.permute(0, 2, 3, 1)), images.labels[indices].to(device)


def draw_calibration(
    images: ImageSplits, *, per_class: int, seed: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Draw training images, the same for every method at one seed; a small class gives all its images."""
    labels = images.train.labels.cpu()
    chosen = []
    for label in range(images.num_classes):
        members = (labels == label).nonzero().squeeze(1)
        order = torch.randperm(len(members), generator=make_generator(seed, "calibration", label))
        chosen.append(members[order[:per_class]])
    indices = torch.cat(chosen)
    if short := [label for label, members in enumerate(chosen) if len(members) < per_class]:
        logger.warning(
            "images_per_class is %d, but class %r has only %d training images (%d of %d classes have fewer): "
            "%d are taken in all.",
            per_class,
            images.class_names[short[0]],
            len(chosen[short[0]]),
            len(short),
            images.num_classes,
            len(indices),
        )
    # Mixed, so that a micro-batch has the batch statistics of all classes and not of one.
    order = torch.randperm(len(indices), generator=make_generator(seed, "calibration", "order"))
    return take_pixels(images.train, indices[order], device)
