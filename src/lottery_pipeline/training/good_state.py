"""The newest good state of a training: kept in memory at every history row, saved when it is due."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.training.collectives import agree
from lottery_pipeline.training.result import State
from lottery_pipeline.training.state import copy_to_cpu, join_groups

Groups = Mapping[str, Mapping[str, Tensor]]


class GoodState:
    """What a training resumes from, and falls back on when it goes wrong.

    Args:
        checkpoints: where to save; None keeps and saves nothing.
        fingerprint: of the training.
    """

    def __init__(self, checkpoints: Checkpoints | None, fingerprint: str) -> None:
        self._checkpoints, self._fingerprint = checkpoints, fingerprint
        self._good: tuple[State, dict[str, Any]] | None = None

    @property
    def is_kept(self) -> bool:
        """Whether there is a place to save to."""
        return self._checkpoints is not None

    @property
    def is_due(self) -> bool:
        """Whether it is time for another checkpoint."""
        return self._checkpoints is not None and self._checkpoints.is_due()

    def load(self) -> tuple[State, dict[str, Any]] | None:
        """Return the content of the checkpoint, that of rank 0; None if there is none."""
        return agree(None if self._checkpoints is None else self._checkpoints.load(self._fingerprint))

    def keep(self, groups: Groups, finished: Groups, record: dict[str, Any]) -> None:
        """Copy a state that is known to be good.

        Args:
            groups: what the training still changes.
            finished: what it does not change any more, on the CPU; not copied.
            record: plain JSON.
        """
        self._good = None  # two copies of a large state would be in memory otherwise
        self._good = copy_to_cpu(join_groups(groups)) | join_groups(finished), record

    def save(self) -> str:
        """Save the last good state; return what the message of an error says about it."""
        if self._checkpoints is None or self._good is None:
            return "there is no good checkpoint"
        path = self._checkpoints.save(self._fingerprint, *self._good)
        return f"the last good checkpoint, of step {self._good[1]['step']}, is {path}"

    def finish(self, groups: Groups, record: dict[str, Any]) -> None:
        """Save the result of the finished training; it replaces the last good state."""
        self._good = None
        if self._checkpoints is not None:
            self._checkpoints.save(self._fingerprint, join_groups(groups), record)
