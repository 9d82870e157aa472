"""The numbers of a training between two history rows, gathered without waiting for the device."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from lottery_pipeline.training.tasks import TASKS, Task

# Columns of a history, trace, ladder or controls that come from the clock. All others are computed.
CLOCK_COLUMNS = ("seconds", "images_per_second")

_MOST_VALUES_HELD = 2**21
_MOST_STEPS_HELD = 64


class Interval:
    """Loss and score of the steps since the last history row.

    Only references are kept per step. The score is counted for many steps at once, at a twentieth of the cost
    of counting each step. Losses are kept one by one until the row is written, so its mean is the same
    however often the interval was interrupted and resumed.

    Args:
        device: where the training runs.
        reduction: of the added losses, ``mean`` or ``sum``.
        task: what is trained.
        size: height and width of the images in pixels, for tasks that need it.

    Attributes:
        seconds: time spent on the steps, interruptions not counted; kept by the loop.
    """

    def __init__(
        self,
        device: torch.device,
        reduction: str = "mean",
        task: Task = TASKS["classification"],
        size: tuple[int, int] = (1, 1),
    ) -> None:
        self._device = device
        self._reduction = reduction
        self._task = task
        self._size = size
        self.restart()

    def restart(self) -> None:
        """Start the next interval."""
        self.seconds = 0.0
        self._losses: list[Tensor] = []
        self._sizes: list[int] = []
        self._counts = torch.zeros((), dtype=torch.int64, device=self._device)
        self._held: list[tuple[Tensor, Tensor, Tensor]] = []
        self._values_held = 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a step's loss (a scalar), outputs and labels of the task, all detached."""
        self._held.append((loss, logits, labels))
        self._sizes.append(len(labels))
        self._values_held += logits.numel() + labels.numel()
        if self._values_held > _MOST_VALUES_HELD or len(self._held) >= _MOST_STEPS_HELD:
            self._count()

    def extend(self, losses: Tensor, size: int, counts: Tensor) -> None:
        """Add steps that were counted already: their losses [steps], the images of each, and their counts."""
        self._count()
        self._losses.append(losses)
        self._sizes += [size] * len(losses)
        self._counts = self._counts + counts

    def _count(self) -> None:
        if not self._held:
            return
        losses, logits, labels = zip(*self._held, strict=True)
        self._losses.append(torch.stack(losses))
        self._counts = self._counts + self._task.count(torch.cat(logits), torch.cat(labels), self._size)
        self._held = []
        self._values_held = 0

    def losses(self) -> Tensor:
        """Return the loss of every step of the interval so far: float32 [steps] on the CPU."""
        self._count()
        return torch.cat(self._losses).cpu() if self._losses else torch.zeros(0)

    def summary(self) -> dict[str, Any]:
        """Return ``train_loss``, ``train_accuracy`` (the task's score, in training mode) and ``images``."""
        losses, images = self.losses().double(), sum(self._sizes)
        if self._reduction == "mean":
            losses = losses * torch.tensor(self._sizes, dtype=torch.float64)
        total = float(losses.sum())
        accuracy = self._task.score(self._counts, images)["accuracy"]
        return {"train_loss": total / images, "train_accuracy": accuracy, "images": images}

    def close(
        self, *, step: int, steps_per_epoch: int, rate: float, measured: Mapping[str, Any], seconds: float
    ) -> dict[str, Any]:
        """Return the row of the history that ends this interval, and start the next.

        Args:
            step: number of steps done.
            steps_per_epoch: to count epochs.
            rate: learning rate of the last step.
            measured: what was measured after the interval, by column.
            seconds: that the measuring took.
        """
        summary, epoch = self.summary(), step / steps_per_epoch
        row = {
            "epoch": int(epoch) if epoch.is_integer() else epoch,
            "step": step,
            "train_loss": summary["train_loss"],
            "train_accuracy": summary["train_accuracy"],
            **measured,
            "learning_rate": rate,
            "seconds": self.seconds + seconds,
            "images_per_second": summary["images"] / self.seconds,
        }
        self.restart()
        return row

    def tensors(self) -> dict[str, Tensor]:
        """Return the interval so far, for a checkpoint."""
        losses = self.losses()
        return {
            "losses": losses,
            "correct": self._counts,  # an old name, which checkpoints have
            "sizes": torch.tensor(self._sizes, dtype=torch.int64),
        }

    def load(self, tensors: Mapping[str, Tensor], seconds: float) -> None:
        """Restore an interval from ``tensors()``."""
        self.restart()
        self.seconds = seconds
        self._losses = [tensors["losses"].to(self._device)]
        self._sizes = tensors["sizes"].tolist()
        self._counts = tensors["correct"].to(self._device)


def early_stop_step(history: list[dict[str, Any]]) -> int:
    """Return the first step of least validation loss, or the step of the last row if none was measured.

    It is computed afterwards and never stops a training (Frankle & Carbin, ICLR 2019: the iteration of least
    validation loss is where training would be stopped).
    """
    measured = [row for row in history if row["validation_loss"] is not None]
    best = min(measured, key=lambda row: row["validation_loss"]) if measured else history[-1]
    return int(best["step"])


def least_validation_loss(history: Iterable[Mapping[str, Any]]) -> float | None:
    """Return the least validation loss of a history; None if there were no validation images.

    A history read from a table has NaN where a value is missing.
    """
    losses = [row.get("validation_loss") for row in history]
    return min((loss for loss in losses if loss is not None and math.isfinite(loss)), default=None)
