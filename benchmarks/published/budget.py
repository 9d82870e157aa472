"""Time: how much is left, and checkpoints that stop a computation before it is over."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from lottery_pipeline.reproducibility.checkpoints import Checkpoints

RESERVE_SECONDS = 5.0  # the last checkpoint, the report, the end of the process
SAFETY = 1.5
SECONDS_BETWEEN_SAVES = 10.0


class OutOfTimeError(Exception):
    """The budget is spent; what was computed lies in a checkpoint."""


class Budget:
    """Seconds to spend, counted from the start of the process.

    A computation can stop where it asks for a checkpoint. How long it runs without asking is measured as it
    goes: from its start to its first question (building, capturing, the first steps), between two questions,
    and from the last one to its end (the test images, files). So nothing is begun, and nothing is continued,
    that might not come to its next stop in time.

    Args:
        seconds: to spend.
        began: the moment of the start, on the same clock as ``now``.
        now: the clock, in seconds.
    """

    def __init__(self, seconds: float, began: float, now: Callable[[], float] = time.monotonic) -> None:
        self._end, self._now = began + seconds, now
        self._asked = began
        self._starting = True
        self._start_seconds = self._step_seconds = self._end_seconds = 0.0

    @property
    def left(self) -> float:
        """Seconds until the budget is spent."""
        return self._end - self._now()

    def start(self) -> bool:
        """Whether there is time to start another row, down to its first checkpoint; call it as it starts."""
        self._asked, self._starting = self._now(), True
        return self.left > self._reserve() + SAFETY * (self._start_seconds + self._step_seconds)

    def is_over(self) -> bool:
        """Whether to stop now, since the next checkpoint might come too late; called at every stop."""
        passed, self._asked = self._now() - self._asked, self._now()
        if self._starting:
            self._start_seconds, self._starting = passed, False
        else:
            self._step_seconds = max(self._step_seconds, passed)
        return self.left <= self._reserve() + SAFETY * self._step_seconds

    def finish(self) -> None:
        """Call it as a row ends."""
        self._end_seconds = max(self._end_seconds, self._now() - self._asked)

    def _reserve(self) -> float:
        return RESERVE_SECONDS + SAFETY * self._end_seconds


class TimedCheckpoints(Checkpoints):
    """Checkpoints that end a computation with ``OutOfTimeError`` while there is time, once it is saved."""

    def __init__(self, folder: Path, budget: Budget) -> None:
        super().__init__(folder, interval_seconds=SECONDS_BETWEEN_SAVES)
        self._budget, self._stops = budget, False

    def is_due(self) -> bool:
        """Whether it is time to save, or to stop."""
        self._stops = self._budget.is_over()
        return self._stops or super().is_due()

    def save(self, fingerprint: str, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> Path:
        """Save, and stop if it is time to."""
        path = super().save(fingerprint, tensors, record)
        if self._stops:
            raise OutOfTimeError(f"{self._budget.left:.0f} seconds are left")
        return path
