"""Progress of a training: a bar on a terminal, plain lines in a log."""

import logging
import sys
import time
from typing import Any

from tqdm import tqdm

from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.training.parallel import is_first

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Shows how far a training is and when it will end.

    Args:
        label: what is being trained, e.g. ``ltr.round_03``.
        total: steps at the end.
        done: steps that are already done (start step or resume).
        steps_per_epoch: for showing progress in epochs.
    """

    def __init__(self, label: str, *, total: int, done: int, steps_per_epoch: int) -> None:
        self._label = label or "training"
        self._total = total
        self._first = self._done = done
        self._steps_per_epoch = steps_per_epoch
        self._began = self._told = time.monotonic()
        self._numbers = ""
        self._bar = None
        if sys.stderr.isatty() and is_first():
            self._bar = tqdm(total=total, initial=done, desc=self._label, unit="step", leave=False)

    def advance(self, steps: int) -> None:
        """Count finished steps; on a terminal the bar moves, in a log a line appears every ten seconds."""
        self._done += steps
        if self._bar is not None:
            self._bar.update(steps)
        elif time.monotonic() - self._told >= _SECONDS_BETWEEN_LINES:
            self._told = time.monotonic()
            logger.info("%s, about %s left.", self._describe(), self._remaining())

    def report(self, numbers: str) -> None:
        """Set the newest numbers, which are shown as they are."""
        self._numbers = numbers
        if self._bar is not None:
            self._bar.set_postfix_str(numbers, refresh=False)

    def close(self) -> None:
        """Remove the bar and, if the training has ended, log its last numbers."""
        if self._bar is not None:
            self._bar.close()
        if self._done == self._total:
            logger.info("%s, finished in %s.", self._describe(), _clock(time.monotonic() - self._began))

    def _describe(self) -> str:
        done, total = (write_number(steps / self._steps_per_epoch, 3) for steps in (self._done, self._total))
        epochs = f"{done} of {total} epochs"
        return f"{self._label}: {epochs}{', ' if self._numbers else ''}{self._numbers}"

    def _remaining(self) -> str:
        rate = (time.monotonic() - self._began) / max(self._done - self._first, 1)
        return _clock(rate * (self._total - self._done))


def describe_row(row: dict[str, Any], metric: str = "accuracy") -> str:
    """Put the numbers of a history row, whose headline is ``metric``, into words."""
    text = f"loss {write_number(row['train_loss'], 4)}"
    if row["validation_accuracy"] is not None:
        text += f", validation {metric} {100 * row['validation_accuracy']:.2f} %"
    return f"{text}, {row['images_per_second']:,.0f} images/s"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
