"""Segmentation: a class for each pixel; cross-entropy, and mean IoU from one confusion matrix."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lottery_pipeline.images.targets import IGNORED


def loss(
    logits: Tensor,
    labels: Tensor,
    size: tuple[int, int],
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """Return the cross-entropy over the pixels that have a class.

    As in SuperTickets (arXiv 2207.03677), logits are resized to the labels, and 255 is ignored.

    Args:
        logits: float32 ``[B, classes, h, w]``.
        labels: int64 ``[B, H, W]``.
        size: H and W.
        label_smoothing: share of the target that all classes get alike.
        reduction: ``mean``: over all such pixels of the batch. ``sum``: each image's mean over its own such
            pixels, added up; so the sum is that of one value for each image, as in classification.

    Returns:
        A scalar. Images without any such pixel count 0.
    """
    logits = resize(logits, size)
    losses = F.cross_entropy(
        logits, labels, ignore_index=IGNORED, label_smoothing=label_smoothing, reduction="none"
    )
    labelled = labels != IGNORED
    if reduction == "mean":
        return losses.sum() / labelled.sum().clamp_min(1)
    return (losses.sum((1, 2)) / labelled.sum((1, 2)).clamp_min(1)).sum()


def count(logits: Tensor, labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Count pixels by class and prediction, as ``loss`` sees them: the confusion matrix.

    Returns:
        int64 ``[classes, classes]``: true by predicted class. Pixels without a class are left out.
    """
    classes = logits.shape[1]
    predicted = resize(logits, size).argmax(1)
    pairs = torch.where(labels == IGNORED, classes**2, labels * classes + predicted).flatten()
    # Not bincount: on a GPU it waits for the largest number.
    counts = torch.zeros(classes**2 + 1, dtype=torch.int64, device=pairs.device)
    counts.scatter_add_(0, pairs, torch.ones_like(pairs))
    return counts[:-1].view(classes, classes)


def weigh(labels: Tensor) -> Tensor:
    """Return the number of pixels that have a class: a scalar."""
    return (labels != IGNORED).sum().float()


def score(confusion: Tensor, images: int = 0) -> dict[str, float]:  # noqa: ARG001 (all tasks are called alike)
    """Return the mean IoU and the share of pixels whose class is right.

    Args:
        confusion: int64 ``[classes, classes]``, over all images at once.
        images: not needed; pixels are counted.

    Returns:
        ``accuracy``: the mean IoU, over the classes that occur or are predicted. ``pixel_accuracy``.
    """
    overlaps = [value for value in measure_overlaps(confusion) if value is not None]
    right, total = int(confusion.diagonal().sum()), int(confusion.sum())
    return {
        "accuracy": sum(overlaps) / max(len(overlaps), 1),
        "pixel_accuracy": right / max(total, 1),
    }


def measure_overlaps(confusion: Tensor) -> list[float | None]:
    """Return intersection over union of every class; None if it neither occurs nor is predicted."""
    right = confusion.diagonal().tolist()
    unions = (confusion.sum(0) + confusion.sum(1) - confusion.diagonal()).tolist()
    return [hits / union if union else None for hits, union in zip(right, unions, strict=True)]


def resize(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize ``[B, classes, h, w]`` to a height and width, bilinearly."""
    if tuple(logits.shape[2:]) == size:
        return logits
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
