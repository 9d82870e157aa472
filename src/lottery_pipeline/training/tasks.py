"""Tasks: what a network's outputs are compared with, by which loss, and by which score."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options.task import TaskName
from lottery_pipeline.training import keypoints, segmentation

Size = tuple[int, int]


@dataclass(frozen=True)
class Task:
    """A task: all that training and evaluation do differently for it.

    The functions take outputs (float32 ``[B, K]``, or ``[B, K, h, w]`` at the network's stride for dense
    tasks), labels as ``lottery_pipeline.images.targets`` describes them, and the height and width of the
    images in pixels. None of them waits for the device, but for ``score``.

    Attributes:
        name: as ``ImageSplits.task``.
        metric: name of the headline: a fraction, which is stored as ``accuracy`` for every task.
        loss: ``loss(outputs, labels, size, label_smoothing, reduction)`` -> scalar. Reduction ``mean`` is
            over the batch. ``sum`` adds one value for each image, so the sum over all batches does not depend
            on the batch size.
        count: ``count(outputs, labels, size)`` -> int64 counts. Those of several batches are added up: in
            whole numbers, so the order has no effect.
        weigh: ``weigh(labels)`` -> how much there is of what the mean loss is a mean of: a scalar. With these
            weights the means of parts of a batch give that of the batch.
        score: ``score(counts, images)`` -> ``accuracy``, the headline, and further numbers of the task.
    """

    name: TaskName
    metric: str
    loss: Callable[[Tensor, Tensor, Size, float, str], Tensor]
    count: Callable[[Tensor, Tensor, Size], Tensor]
    weigh: Callable[[Tensor], Tensor]
    score: Callable[[Tensor, int], dict[str, float]]


def classification_loss(
    logits: Tensor,
    labels: Tensor,
    size: Size,  # noqa: ARG001 (all tasks are called alike)
    label_smoothing: float,
    reduction: str,
) -> Tensor:
    """Return the cross-entropy of logits ``[B, classes]`` and labels ``[B]``."""
    return F.cross_entropy(logits, labels, label_smoothing=label_smoothing, reduction=reduction)


def count_right(logits: Tensor, labels: Tensor, size: Size) -> Tensor:  # noqa: ARG001 (as above)
    """Count the images whose class is right: int64, a scalar."""
    return (logits.argmax(1) == labels).sum()


def weigh_images(labels: Tensor) -> Tensor:
    """Return the number of images: a scalar."""
    return torch.full((), float(len(labels)), device=labels.device)


def score_right(right: Tensor, images: int) -> dict[str, float]:
    """Return the accuracy: the fraction of images whose class is right."""
    return {"accuracy": int(right) / images}


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("classification", "accuracy", classification_loss, count_right, weigh_images, score_right),
        Task(
            "segmentation",
            "mIoU",
            segmentation.loss,
            segmentation.count,
            segmentation.weigh,
            segmentation.score,
        ),
        Task("keypoints", "PCK", keypoints.loss, keypoints.count, weigh_images, keypoints.score),
    )
}


def find_spec_task(spec: ModelSpec) -> TaskName:
    """Return the task of a network: that of a supernet's head; all other networks classify."""
    return "classification" if spec.supernet is None else spec.supernet.head.task
