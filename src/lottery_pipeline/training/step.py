"""The training step: batch, forward, loss, backward, margin, optimiser, and what the history needs of it.

A step may be told where it is by a number or by tensors on the device. With tensors nothing in it depends on
the host, so it can be captured once and replayed (``lottery_pipeline.training.captured``). Both ways compute
the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from lottery_pipeline.training.batches import Batches
from lottery_pipeline.training.evaluation import autocast
from lottery_pipeline.training.events import Events
from lottery_pipeline.training.margin import MarginTerm
from lottery_pipeline.training.optimiser import MaskedOptimiser
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.shared_loss import SharedLoss
from lottery_pipeline.training.tasks import Task

Perturb = Callable[[nn.Module, Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class TrainingStep:
    """What a step works with; every one of its calls is a step.

    Attributes:
        model: all that is trained, normalisation included.
        network: what the batches are given to, in training mode.
        optimiser: of the model's parameters.
        batches: an epoch of them must be started.
        recipe: loss and precision.
        task: loss and counts.
        image_size: height and width in pixels.
        one: a scalar 1.0 on the device: the gradient that backward would make at every step.
        extra_per_batch: images at the end of every batch that the history does not count.
        perturb: changes the images of a batch; None leaves them.
        margin: adds to the gradients.
        events: add to the gradients, and look at the weights after the step.
        shared: adds up over the processes that share the batch; None if this one is alone.
    """

    model: nn.Module
    network: nn.Module
    optimiser: MaskedOptimiser
    batches: Batches
    recipe: Recipe
    task: Task
    image_size: tuple[int, int]
    one: Tensor
    extra_per_batch: int = 0
    perturb: Perturb | None = None
    margin: MarginTerm | None = None
    events: Events | None = None
    shared: SharedLoss | None = None

    def __call__(
        self, index: int | Tensor, rate: float | Tensor, number: int = 0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Make one step; nothing here waits for the device.

        Args:
            index: of the batch in its epoch; a tensor, [1], without events only.
            rate: learning rate; a number or a scalar on the device.
            number: of the step in the training, from 0, which events want to know.

        Returns:
            Loss, outputs and labels of the training images, detached; of those of this process.
        """
        recipe, reduction, extra = self.recipe, self.recipe.loss_reduction, self.extra_per_batch
        inputs, labels = self.batches.get(index)
        if self.perturb is not None:
            inputs = self.perturb(self.network, inputs, labels)
        with autocast(self.one.device, recipe.precision):
            logits = self.network(inputs)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        loss = self.task.loss(logits, labels, self.image_size, recipe.label_smoothing, reduction)
        if self.shared is None:
            loss.backward(self.one)
        else:
            self.shared.backward(loss, labels, self.model.parameters())
        if self.margin is not None:
            self.margin.add_gradients_()
        if self.events is None:
            self.optimiser.step(rate)
        else:
            self.optimiser.step(rate, partial(self.events.regularise, number))
            self.events.after_step()
        loss, logits = loss.detach(), logits.detach()
        if extra:  # the history is that of the training images alone
            logits, labels = logits[:-extra], labels[:-extra]
            loss = self.task.loss(logits, labels, self.image_size, recipe.label_smoothing, reduction)
        return loss, logits, labels

    @property
    def obstacle(self) -> str:
        """Why the step depends on the host; empty if it does not."""
        if self.events is not None:
            return "a search looks at the network between its steps"
        if self.shared is not None:
            return "several processes share every batch"
        return self.batches.obstacle

    def state(self) -> dict[str, list[Tensor]]:
        """Return all tensors that a step changes, by kind; the tensors themselves."""
        moments = {kind: list(tensors.values()) for kind, tensors in self.optimiser.moments.items()}
        parameters: list[Tensor] = list(self.model.parameters())
        return {"weights": parameters, "buffers": list(self.model.buffers()), **moments}


class CountedStep:
    """A step that keeps its counts on the device and returns its loss: what is captured of a training.

    Args:
        step: must have no obstacle.
    """

    def __init__(self, step: TrainingStep) -> None:
        self._step = step
        self._counts: Tensor | None = None  # int64; its shape is known after the first step

    def __call__(self, index: Tensor, rate: Tensor) -> Tensor:
        """Make one step; return its loss, [1]."""
        loss, logits, labels = self._step(index, rate)
        found = self._step.task.count(logits, labels, self._step.image_size)
        if self._counts is None:
            self._counts = torch.zeros_like(found)
        self._counts.add_(found)
        return loss.reshape(1)

    def state(self) -> dict[str, list[Tensor]]:
        """Return all tensors that a step changes, by kind, but for the counts; the tensors themselves."""
        return self._step.state()

    def modules(self) -> list[nn.Module]:
        """Return the modules that a step calls."""
        return list(self._step.model.modules())

    def forget(self) -> None:
        """Set the counts to 0."""
        if self._counts is not None:
            self._counts.zero_()

    def take_counts(self) -> Tensor:
        """Return what the task has counted since the counts were last taken, and set them to 0."""
        assert self._counts is not None  # noqa: S101 (a step has been made)
        taken = self._counts.clone()
        self.forget()
        return taken
