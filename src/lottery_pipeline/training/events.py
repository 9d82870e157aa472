"""Events: what may happen to a network while it trains, besides its steps.

A search that prunes while it trains changes gradients, masks, and the network itself. It does so through
these hooks, so that there is one training loop, with one set of checkpoints and one history.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from lottery_pipeline.sparsity.masks import Masks
from lottery_pipeline.training.result import State


class EventError(ValueError):
    """Events that cannot let the training continue; the last good state is saved first."""


@dataclass(frozen=True, eq=False)
class Replacement:
    """A network that takes the place of the one in training.

    Attributes:
        model: its weights are masked already.
        masks: of its prunable parameters.
        moments: state of the optimiser, ``<kind>/<parameter>``, for every trainable parameter; empty to start
            from zeros.
    """

    model: nn.Module
    masks: Masks
    moments: State


class Events(Protocol):
    """What a search does between the steps of a training. Nothing here may depend on the clock."""

    def identity(self) -> dict[str, Any]:
        """Return all that determines what the events do, as plain JSON."""
        ...

    def regularise(self, step: int) -> None:
        """Add to the gradients of a step, counted from 0, once their norm is clipped; must not wait."""
        ...

    def after_step(self) -> None:
        """Look at the weights after a step; must not wait for the device."""
        ...

    def end_epoch(self, step: int, moments: Mapping[str, Tensor]) -> Replacement | None:
        """Act at the end of an epoch, or of the training, when ``step`` steps are done.

        Args:
            step: counted from the first of the recipe.
            moments: state of the optimiser, ``<kind>/<parameter>``.

        Returns:
            What trains on; None if network and masks stay.

        Raises:
            EventError: the training cannot continue.
        """
        ...

    def measured(self) -> nn.Module:
        """Return the network whose validation the history shows; it may be a copy."""
        ...

    def columns(self) -> dict[str, Any]:
        """Return what the next row of the history says of the events since the last one."""
        ...

    def tensors(self) -> State:
        """Return the tensors that a checkpoint needs beside weights and moments."""
        ...

    def progress(self) -> dict[str, Any]:
        """Return the rest of what a checkpoint needs, as plain JSON."""
        ...

    def load(self, tensors: State, progress: Mapping[str, Any]) -> Replacement:
        """Restore the events, and return the network of the checkpoint; its weights are loaded afterwards."""
        ...
