"""Evaluation, and batch-norm statistics of a network whose weights were replaced."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.images.stored import StoredImages
from lottery_pipeline.models.normalisation import list_tracking, normalises_by_batch
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.training.augmentation import to_pixels
from lottery_pipeline.training.device import seeded
from lottery_pipeline.training.recipe import Precision
from lottery_pipeline.training.tasks import TASKS

# What an evaluation measures for every task; a task adds to it.
EVERY_TASK = ("accuracy", "loss", "count")

_VALUES_PER_BATCH = 2**22
_LARGEST_BATCH = 512


class EvaluationError(ValueError):
    """An evaluation that has nothing to measure."""


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Return a context in which a forward pass runs in the given precision."""
    return nullcontext() if precision == "float32" else torch.autocast(device.type, torch.bfloat16)


@contextmanager
def modes_restored(model: nn.Module) -> Iterator[None]:
    """Restore every module's training flag at the end, even if the flags differ inside the model."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network says about images.

    Attributes:
        classes: int64 ``[N]``, the predicted class of each image, on the CPU; empty for dense tasks.
        counts: int64, what the task counts, over all images, on the CPU; see ``Task.count``.
        scores: ``accuracy``, the headline of the task (a fraction), and its further numbers.
        loss: mean of the task's loss over the images, without label smoothing.
    """

    classes: Tensor
    counts: Tensor
    scores: dict[str, float]
    loss: float

    @property
    def accuracy(self) -> float:
        """The headline of the task; in classification the fraction of right classes."""
        return self.scores["accuracy"]


def evaluate(
    model: nn.Module,
    image_set: ImageSet,
    *,
    device: torch.device | str = "cpu",
    precision: Precision = "float32",
    batch_size: int | None = None,
) -> dict[str, float]:
    """Measure loss and scores; arguments and errors are those of ``predict``.

    Returns:
        ``accuracy`` (the headline of the task, a fraction), ``loss`` (mean over images, without label
        smoothing), ``count`` (images) and the further numbers of the task (``pixel_accuracy`` or
        ``pixel_error``).
    """
    found = predict(model, image_set, device=device, precision=precision, batch_size=batch_size)
    return {"accuracy": found.accuracy, "loss": found.loss, "count": len(image_set)} | found.scores


@torch.no_grad()
def predict(
    model: nn.Module,
    image_set: ImageSet,
    *,
    device: torch.device | str = "cpu",
    precision: Precision = "float32",
    batch_size: int | None = None,
) -> Prediction:
    """Run a network on images in evaluation mode: tracked batch-norm statistics, no dropout.

    Every image counts the same, also in a smaller last batch; see ``fixed_batches`` for that of a network
    that keeps no statistics. Masks need no attention: pruned weights are 0
    already. The model is moved to the device; its modes are restored.

    Args:
        model: pixels in [0, 1] -> outputs of the images' task.
        image_set: what to measure on.
        device: where to compute.
        precision: that of the forward pass; the loss is float32.
        batch_size: images at once; None chooses by image size.

    Raises:
        EvaluationError: there are no images.
    """
    if not len(image_set):
        raise EvaluationError("there are no images to evaluate on")
    device = torch.device(device)
    image_set = image_set.to(device)
    task, (height, width) = TASKS[image_set.task], image_set.images.shape[2:]
    size = batch_size or max(1, min(_LARGEST_BATCH, _VALUES_PER_BATCH // image_set.images[0].numel()))
    losses, classes = [], [torch.zeros(0, dtype=torch.int64, device=device)]
    counts = torch.zeros((), dtype=torch.int64, device=device)
    with modes_restored(model), seeded(device, 0):  # some networks draw numbers even here
        model.to(device).eval()
        batches = fixed_batches(model, image_set.images, size)
        for images, labels in zip(batches, image_set.labels.split(size), strict=True):
            with autocast(device, precision):
                outputs = model(to_pixels(images.permute(0, 2, 3, 1)))
            outputs = outputs[: len(labels)].float()
            losses.append(task.loss(outputs, labels, (height, width), 0.0, "sum"))
            counts = counts + task.count(outputs, labels, (height, width))
            if task.name == "classification":
                classes.append(outputs.argmax(1))
    count = len(image_set)
    return Prediction(
        classes=torch.cat(classes).cpu(),
        counts=counts.cpu(),
        scores=task.score(counts, count),
        loss=float(torch.stack(losses).cpu().double().sum()) / count,
    )


def fixed_batches(model: nn.Module, images: Tensor | StoredImages, size: int) -> Iterator[Tensor]:
    """Split images into batches for evaluation, in their order.

    A network that normalises by the batch gets batches of one size, at least 2: the last one is filled up
    with the first images, whose outputs are to be ignored. So every image counts, and none is normalised by
    fewer images than the others.

    Args:
        model: is asked how it normalises.
        images: [N, ...], N at least 1.
        size: of a batch.
    """
    filled = max(2, min(size, len(images))) if normalises_by_batch(model) else 0
    for batch in images.split(size):
        missing = torch.arange(max(0, filled - len(batch)), device=images.device)
        yield torch.cat([batch, images[missing % len(images)]]) if len(missing) else batch


@torch.no_grad()
def recompute_batchnorm_(
    model: nn.Module,
    image_set: ImageSet,
    *,
    device: torch.device | str = "cpu",
    batches: int = 100,
    batch_size: int = 128,
    precision: Precision = "float32",
    seed: int = 0,
) -> None:
    """Replace the batch-norm statistics with those of the network as it is now.

    The statistics become the plain mean over ``batches`` full batches of images without augmentation. A small
    set is passed over again in a new order. Weights, modes and momenta stay as they are. A ticket that is
    evaluated without training needs this, because the dense network's averages are wrong for it. Instance
    norm with running statistics gets them anew too; a network that keeps none stays as it is.

    Raises:
        EvaluationError: there are fewer than two images, so there is no variance.
    """
    norms = list(list_tracking(model))
    if not norms:
        return
    if len(image_set) < 2:
        raise EvaluationError(f"batch-norm statistics need at least 2 images, but there are {len(image_set)}")
    device = torch.device(device)
    image_set = image_set.to(device)
    momenta = [module.momentum for module in norms]
    size = min(batch_size, len(image_set))
    per_pass = len(image_set) // size
    with modes_restored(model), seeded(device, 0):  # some networks draw numbers even here
        model.to(device).eval()
        for module in norms:
            module.reset_running_stats()
            module.momentum = None  # torch's name for the cumulative average
            module.train()
        try:
            for index in range(batches):
                if index % per_pass == 0:
                    generator = make_generator(seed, "batchnorm", index // per_pass)
                    order = torch.randperm(len(image_set), generator=generator).to(device)
                for module in norms:
                    if not isinstance(module, _BatchNorm):  # instance norm knows no cumulative average
                        module.momentum = 1 / (index + 1)
                start = index % per_pass * size
                images = image_set.images[order[start : start + size]]
                with autocast(device, precision):
                    model(to_pixels(images.permute(0, 2, 3, 1)))
        finally:
            for module, momentum in zip(norms, momenta, strict=True):
                module.momentum = momentum
