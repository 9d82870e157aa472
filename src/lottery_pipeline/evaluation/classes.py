"""How well each class is recognised, and what it is taken for."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lottery_pipeline.training.segmentation import measure_overlaps


def tabulate_classes(labels: Tensor, predicted: Tensor, names: Sequence[str]) -> dict[str, Any]:
    """Compare the predicted classes of images with their labels.

    Args:
        labels: int64 ``[N]``, the true classes.
        predicted: int64 ``[N]``, on the same device.
        names: of the classes, by number; used as they are, also if two are equal.

    Returns:
        ``classes``, a row per class: ``class``, ``images``, ``recall`` (the share of its images that is
        recognised; None without images) and ``precision`` (the share of the images taken for it that is
        right; None if there are none). ``confusion``, a row per pair of classes that occurs, in class order:
        ``true``, ``predicted`` and ``images``. A full matrix would be large for many classes, and mostly 0.
    """
    count = len(names)
    shown = torch.bincount(labels, minlength=count).tolist()
    taken = torch.bincount(predicted, minlength=count).tolist()
    right = torch.bincount(labels[labels == predicted], minlength=count).tolist()
    pairs, images = torch.unique(labels * count + predicted, return_counts=True)
    confusion = [
        {"true": names[pair // count], "predicted": names[pair % count], "images": number}
        for pair, number in zip(pairs.tolist(), images.tolist(), strict=True)
    ]
    return {"classes": _list_classes(names, shown, taken, right, "images"), "confusion": confusion}


def tabulate_pixels(counts: Tensor, names: Sequence[str]) -> dict[str, Any]:
    """Tabulate the confusion matrix of a segmentation, the one that mIoU comes from.

    Args:
        counts: int64 ``[classes, classes]``: pixels by true and predicted class.
        names: of the classes, by number.

    Returns:
        As ``tabulate_classes``, with ``pixels`` instead of ``images``; each class also has its ``iou`` (None
        if it neither occurs nor is predicted).
    """
    shown, taken, right = counts.sum(1).tolist(), counts.sum(0).tolist(), counts.diagonal().tolist()
    classes = [
        row | {"iou": overlap}
        for row, overlap in zip(
            _list_classes(names, shown, taken, right, "pixels"), measure_overlaps(counts), strict=True
        )
    ]
    confusion = [
        {"true": names[true], "predicted": names[predicted], "pixels": int(counts[true, predicted])}
        for true, predicted in counts.nonzero().tolist()
    ]
    return {"classes": classes, "confusion": confusion}


def _list_classes(
    names: Sequence[str], shown: list[int], taken: list[int], right: list[int], unit: str
) -> list[dict[str, Any]]:
    return [
        {
            "class": name,
            unit: shown[label],
            "recall": right[label] / shown[label] if shown[label] else None,
            "precision": right[label] / taken[label] if taken[label] else None,
        }
        for label, name in enumerate(names)
    ]
