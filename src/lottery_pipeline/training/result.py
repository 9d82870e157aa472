"""What a training gives, and how it can fail."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

State = dict[str, Tensor]
OnRecord = Callable[[dict[str, Any]], None]  # (row of the history)
OnLabelledRecord = Callable[[str, dict[str, Any]], None]  # (part of the search, row)


class DivergenceError(ValueError):
    """A training whose loss or weights are no longer finite."""


@dataclass(frozen=True, eq=False)
class Training:
    """What a training gives.

    Attributes:
        state: full state dict after the last step, on the CPU.
        snapshots: the full state before step i, by i (0: before the first step); deep copies on the CPU.
        history: a row per epoch or evaluation interval. Accuracies are fractions; validation numbers are None
            if there are no validation images. ``seconds`` is the time since the last row and includes
            evaluation, ``images_per_second`` does not. Train loss and accuracy are running means in training
            mode. With an adversary they are those of the attacked images, and with validation images there
            is a ``robust_validation_accuracy`` too, see ``measure_robust_accuracy``.
        steps: number of the last step, counted from theta_0.
        epochs: what this training has cost, in epochs without an adversary: (steps - start step) / steps per
            epoch * ``Recipe.passes_per_step``, which is 1 without one.
        seconds: trained here, interruptions not counted.
        early_stop_step: step of the least validation loss, or of the last row.
        fingerprint: hash of everything that determines this training.
    """

    state: State
    snapshots: dict[int, State]
    history: list[dict[str, Any]]
    steps: int
    epochs: float
    seconds: float
    early_stop_step: int
    fingerprint: str


def make_divergence(
    label: str, step: int, total: int, steps_per_epoch: int, reason: str, kept: str
) -> DivergenceError:
    """Make the error of a training that has diverged.

    Args:
        label: of the training.
        step: in which it diverged, from 0.
        total: its number of steps.
        steps_per_epoch: to count epochs.
        reason: what is not finite.
        kept: what is left of the training.
    """
    return DivergenceError(
        f"{label} diverged in epoch {step // steps_per_epoch + 1} (step {step + 1} of {total}): {reason}; "
        f"{kept}. A lower learning_rate, warmup_epochs or clip_norm may help."
    )
