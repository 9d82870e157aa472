"""The loop of a mask search: epochs over the training images, resumable like a training.

The learner decides what is learnt and what a step does. The order of the images, progress, checkpoints and
the trace are the same for all learners.
"""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.classifier import Normalise
from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.training.agreement import Tensors
from lottery_pipeline.training.batches import Batches
from lottery_pipeline.training.captured import CapturedSteps, choose_graph, round_rates
from lottery_pipeline.training.collectives import Pace, agree, check_equal
from lottery_pipeline.training.parallel import find_team
from lottery_pipeline.training.progress import Progress
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import DivergenceError, OnLabelledRecord, State
from lottery_pipeline.training.synced_norm import synced_norms

logger = logging.getLogger(__name__)

# The loop waits for the device and checks the clock no more often than this.
_SEGMENT_SECONDS = 1.0


class Learner(Protocol):
    """What is learnt, step by step."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the numbers that a step gives; the first is what is minimised."""
        ...

    @property
    def scores(self) -> Tensor:
        """The scores that rank the weights, flat over all prunable ones, [D]; higher = keep."""
        ...

    @property
    def generators(self) -> Sequence[torch.Generator]:
        """What a step draws from."""
        ...

    def modules(self) -> Sequence[nn.Module]:
        """Return the modules that a step calls."""
        ...

    def prepare(self, number: int) -> None:
        """Do what the host has to do before step ``number``, from 0, for example seed the generators."""
        ...

    def step(self, inputs: Tensor, labels: Tensor, rate: float | Tensor) -> Tensor:
        """Make a step at a learning rate; return its numbers, [columns].

        It must not wait for the device, and after the first step change only ``tensors()``, in place; so a
        later step can be captured (``lottery_pipeline.training.captured``).
        """
        ...

    def tensors(self) -> State:
        """Return the whole state, for a checkpoint; the tensors themselves."""
        ...

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore a state from ``tensors()``."""
        ...


@dataclass(frozen=True)
class SearchResult:
    """What a search leaves beside the learner's state.

    Attributes:
        trace: a row per step: ``step``, counted from 1, and the learner's columns.
        epochs: passes over the training images.
        seconds: time spent searching, interruptions not counted.
    """

    trace: list[dict[str, Any]]
    epochs: float
    seconds: float


class SearchStep:
    """A step of a search on the batch whose number it is given: what is captured."""

    def __init__(self, learner: Learner, batches: Batches) -> None:
        self._learner, self._batches = learner, batches

    def __call__(self, index: int | Tensor, rate: float | Tensor) -> Tensor:
        """Make a step on a batch of the epoch; return the learner's numbers, [columns]."""
        return self._learner.step(*self._batches.get(index), rate)

    def state(self) -> Tensors:
        """Return all tensors that a step may change, by kind; the tensors themselves."""
        buffers = [buffer for module in self.modules() for buffer in module.buffers(recurse=False)]
        learnt = {f"tensor {name}": [tensor] for name, tensor in self._learner.tensors().items()}
        return {"buffers": buffers, **learnt}

    def modules(self) -> Sequence[nn.Module]:
        """Return the modules that a step calls."""
        return self._learner.modules()

    def forget(self) -> None:
        """Do nothing: there is no more than the state."""


class SearchLoop:
    """One search in progress: where it is, and everything that a checkpoint must hold.

    Args:
        learner: its state changes.
        images: the training part is used.
        recipe: length, batch size, learning rates, augmentation.
        seed: determines the order of the images.
        device: the learner's device.
        normalise: normalisation that the batches apply.
        fingerprint: hash of everything that determines the search; it names the checkpoint.
        checkpoints: where to save; a finished search stays there, for the caller to clear.
        on_record: called as ``on_record("search", row)`` with a row per epoch, after a resume including the
            earlier ones: ``epoch``, ``step``, the mean of the first column, the last of the others,
            ``seconds`` and ``images_per_second``.
        label: shown with the progress and in errors.
    """

    def __init__(
        self,
        learner: Learner,
        images: ImageSplits,
        recipe: Recipe,
        *,
        seed: int,
        device: torch.device,
        normalise: Normalise | None,
        fingerprint: str,
        checkpoints: Checkpoints | None,
        on_record: OnLabelledRecord | None,
        label: str,
    ) -> None:
        self._learner, self._label = learner, label
        self._fingerprint, self._checkpoints, self._on_record = fingerprint, checkpoints, on_record
        self._rates = round_rates(recipe.learning_rates(len(images.train)), device)
        self._steps_per_epoch = recipe.steps_per_epoch(len(images.train))
        self._team, self._pace = find_team(), Pace(_SEGMENT_SECONDS)
        self._batches = Batches(
            images.train, recipe, seed=seed, device=device, normalise=normalise, team=self._team
        )
        self._make_step = SearchStep(learner, self._batches)
        self._captured: CapturedSteps[SearchStep] | None = None
        if maker := choose_graph(recipe.graph, device, self._find_obstacle(), label):
            self._captured = CapturedSteps(
                self._make_step,
                self._rates,
                steps_per_epoch=self._steps_per_epoch,
                full_steps=self._batches.full,
                columns=len(learner.columns),
                device=device,
                make_graph=maker,
                generators=learner.generators,
                label=label,
            )
        self._step = 0
        self._trace = torch.zeros((0, len(learner.columns)), dtype=torch.float64)
        self._rows: list[dict[str, Any]] = []
        self._seconds = 0.0
        self._images = 0  # of the current epoch

    def _find_obstacle(self) -> str:
        return self._batches.obstacle if self._team is None else "several processes share every batch"

    def to_the_end(self) -> SearchResult:
        """Search, from the checkpoint if there is one.

        Raises:
            DivergenceError: a number of a step is not finite.
        """
        finished = self._resume()
        for row in self._rows:
            self._tell(row)
        total = len(self._rates)
        if not finished:
            progress = Progress(
                self._label, total=total, done=self._step, steps_per_epoch=self._steps_per_epoch
            )
            try:
                while self._step < total:
                    self._advance(progress)
            finally:
                progress.close()
            self._save(finished=True)
        check_equal(f"What is learnt by {self._label}", self._learner.tensors())
        columns = self._learner.columns
        trace = [
            {"step": number, **dict(zip(columns, values, strict=True))}
            for number, values in enumerate(self._trace.tolist(), start=1)
        ]
        return SearchResult(trace, total / self._steps_per_epoch, self._seconds)

    def _advance(self, progress: Progress) -> None:
        """Step to the end of the epoch, or until a second has passed; then check the results."""
        began, first = time.perf_counter(), self._step
        epoch = self._step // self._steps_per_epoch
        end = min((epoch + 1) * self._steps_per_epoch, len(self._rates))
        self._batches.start_epoch(epoch)
        numbers: list[Tensor] = []
        stop, limit = end, _SEGMENT_SECONDS
        if self._team is not None:  # the clocks of several processes differ
            stop, limit = min(end, self._step + self._pace.agree()), math.inf
        with synced_norms():
            while self._step < stop:
                self._take_step(numbers)
                self._step += 1
                if time.perf_counter() - began > limit:
                    break
        self._collect_captured(numbers)
        self._trace = torch.cat([self._trace, torch.cat(numbers).cpu().double()])
        seconds = time.perf_counter() - began
        self._pace.adapt(self._step - first, seconds)
        self._seconds += seconds
        self._refuse_divergence(first)
        progress.advance(self._step - first)
        if self._step == end:
            row = self._close_epoch(epoch)
            progress.report(f"{self._learner.columns[0]} {write_number(row[self._learner.columns[0]], 4)}")
            self._tell(row)
        if self._checkpoints is not None and self._step < len(self._rates) and self._checkpoints.is_due():
            self._save(finished=False)

    def _take_step(self, numbers: list[Tensor]) -> None:
        """Make a step; add its numbers, [1, columns], if it was not a captured one. Does not wait."""
        self._learner.prepare(self._step)
        index = self._step % self._steps_per_epoch
        self._images += self._batches.count_images(index)
        # The first step is eager: some of a learner's tensors do not exist before.
        if self._captured is None or not self._step or not self._captured.take(self._step):
            self._collect_captured(numbers)
            numbers.append(self._make_step(index, self._rates[self._step])[None])

    def _collect_captured(self, numbers: list[Tensor]) -> None:
        if self._captured is not None and self._captured.pending:
            numbers.append(self._captured.read())

    def _refuse_divergence(self, first: int) -> None:
        bad = (~self._trace[first:].isfinite().all(1)).nonzero()
        if len(bad):
            number = first + int(bad[0])
            values = zip(self._learner.columns, self._trace[number].tolist(), strict=True)
            names = ", ".join(name for name, value in values if not math.isfinite(value))
            raise DivergenceError(
                f"{self._label} diverged at step {number + 1} of {len(self._rates)}: not finite: {names}; "
                "a lower learning_rate, or precision float32, may help"
            )

    def _close_epoch(self, epoch: int) -> dict[str, Any]:
        part = self._trace[epoch * self._steps_per_epoch :]
        first, *others = self._learner.columns
        seconds = self._seconds - sum(row["seconds"] for row in self._rows)
        done = self._step / self._steps_per_epoch
        row = {
            "epoch": int(done) if done.is_integer() else done,
            "step": self._step,
            first: float(part[:, 0].mean()),
            **dict(zip(others, part[-1, 1:].tolist(), strict=True)),
            "seconds": seconds,
            "images_per_second": self._images / max(seconds, 1e-9),
        }
        self._images = 0
        self._rows.append(row)
        return row

    def _tell(self, row: dict[str, Any]) -> None:
        if self._on_record is not None:
            self._on_record("search", dict(row))

    def _save(self, *, finished: bool) -> None:
        if self._checkpoints is None:
            return
        tensors = {"trace": self._trace, **{f"learner/{k}": v for k, v in self._learner.tensors().items()}}
        record = {
            "step": self._step,
            "rows": self._rows,
            "seconds": self._seconds,
            "images": self._images,
            "finished": finished,
        }
        self._checkpoints.save(self._fingerprint, tensors, record)

    def _resume(self) -> bool:
        stored = agree(None if self._checkpoints is None else self._checkpoints.load(self._fingerprint))
        if stored is None:
            return False
        tensors, record = stored
        self._trace = tensors.pop("trace")
        self._learner.load({name.removeprefix("learner/"): tensor for name, tensor in tensors.items()})
        self._step, self._rows = record["step"], record["rows"]
        self._seconds, self._images = record["seconds"], record["images"]
        if not record["finished"]:
            logger.info("%s resumes from step %d of %d.", self._label, self._step, len(self._rates))
        return bool(record["finished"])
