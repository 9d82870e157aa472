"""One training in progress: its steps, its history rows, its checkpoints."""

import logging
import time
from collections.abc import Sequence
from typing import Any, NoReturn

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from lottery_pipeline.images.splits import ImageSet, ImageSplits
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.sparsity.masks import Masks
from lottery_pipeline.training.batches import Batches, split_normalisation
from lottery_pipeline.training.device import generator_states, seeded, set_generator_states
from lottery_pipeline.training.evaluation import autocast, evaluate
from lottery_pipeline.training.history import Interval, early_stop_step
from lottery_pipeline.training.margin import Margin, MarginTerm
from lottery_pipeline.training.optimiser import MaskedOptimiser
from lottery_pipeline.training.progress import Progress, describe_row
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import DivergenceError, OnRecord, State, Training

logger = logging.getLogger(__name__)

# Inside an epoch the loop waits for the device and checks the clock no more often than this.
_SEGMENT_SECONDS = 1.0


class TrainingRun:
    """One training in progress: where it is, and everything that a checkpoint must hold.

    Use it through ``lottery_pipeline.training.loop.train``, which explains the arguments.
    """

    def __init__(
        self,
        model: nn.Module,
        images: ImageSplits,
        recipe: Recipe,
        *,
        seed: int,
        masks: Masks | None,
        start_step: int,
        snapshot_steps: Sequence[int],
        device: torch.device,
        checkpoints: Checkpoints | None,
        on_record: OnRecord | None,
        label: str,
        fingerprint: str,
        extra: ImageSet | None,
        extra_per_batch: int,
        margin: Margin | None,
    ) -> None:
        self.model, self.recipe, self.seed, self.device = model, recipe, seed, device
        self.checkpoints, self.on_record = checkpoints, on_record
        self.label, self.fingerprint = label, fingerprint
        self.rates = recipe.learning_rates(len(images.train))
        self.total = len(self.rates)
        self.steps_per_epoch = recipe.steps_per_epoch(len(images.train))
        self.start_step = self.step = start_step
        self.snapshot_steps = set(snapshot_steps)
        self.network, normalise = split_normalisation(model)
        self.batches = Batches(
            images.train,
            recipe,
            seed=seed,
            device=device,
            normalise=normalise,
            extra=extra,
            extra_per_batch=extra_per_batch,
        )
        self.extra_per_batch = extra_per_batch
        self.validation = images.validation.to(device)
        self.optimiser = MaskedOptimiser(model, recipe, masks)
        scale = recipe.batch_size if recipe.loss_reduction == "sum" else 1.0
        self.margin = None if margin is None else MarginTerm(margin, model, masks or {}, scale)
        self.interval = Interval(device, recipe.loss_reduction)
        self.history: list[dict[str, Any]] = []
        self.snapshots: dict[int, State] = {}
        self.seconds_before = 0.0  # spent before an interruption
        self.began = time.perf_counter()
        self.generator_states: State = {}  # of a checkpoint inside an epoch
        self.good: tuple[State, dict[str, Any]] | None = None  # newest checkpoint content, saved or not

    def to_the_end(self) -> Training:
        """Train, from the checkpoint if there is one; see ``train``."""
        finished = self._resume()
        for row in self.history:
            self._tell(row)
        if not finished:
            self._keep_good()
            self._take_snapshot()
            self.progress = Progress(
                self.label, total=self.total, done=self.step, steps_per_epoch=self.steps_per_epoch
            )
            self.model.train()
            try:
                while self.step < self.total:
                    self._finish_epoch()
            finally:
                self.progress.close()
        return self._result(finished)

    def _finish_epoch(self) -> None:
        """Train from the current step to the end of its epoch, or of the training."""
        epoch = self.step // self.steps_per_epoch
        end = min((epoch + 1) * self.steps_per_epoch, self.total)
        self.batches.start_epoch(epoch)
        with seeded(self.device, derive_seed(self.seed, "epoch", epoch, "dropout")):
            if self.step % self.steps_per_epoch:
                set_generator_states(self.device, self.generator_states)
            while self.step < end:
                self._advance(end)

    def _advance(self, end: int) -> None:
        """Train to the next step at which there is something to do besides training."""
        interval = self.recipe.evaluation_interval or self.steps_per_epoch
        next_row = (self.step // interval + 1) * interval
        stop = min([end, next_row, *(step for step in self.snapshot_steps if step > self.step)])
        first, began = self.step, time.perf_counter()
        self._train_until(stop)
        losses = self.interval.losses()  # waits for the device
        self.interval.seconds += time.perf_counter() - began
        bad = (~losses.isfinite()).nonzero()
        if len(bad):
            self._diverge(self.step - len(losses) + int(bad[0]), "its loss is not finite")
        self.progress.advance(self.step - first)
        self._take_snapshot()
        if self.step in (next_row, self.total):
            self._record()
        if self.checkpoints is not None and self.step < self.total and self.checkpoints.is_due():
            self._keep_good()
            self.checkpoints.save(self.fingerprint, *self.good)  # type: ignore[misc]

    def _train_until(self, stop: int) -> None:
        """Make optimiser steps until ``stop`` or until a second has passed; nothing here waits."""
        recipe, network, interval, batches = self.recipe, self.network, self.interval, self.batches
        smoothing, reduction = recipe.label_smoothing, recipe.loss_reduction
        one = torch.ones((), device=self.device)  # the gradient that backward would make at every step
        deadline = time.perf_counter() + _SEGMENT_SECONDS
        while self.step < stop:
            inputs, labels = batches.get(self.step % self.steps_per_epoch)
            with autocast(self.device, recipe.precision):
                logits = network(inputs)
            logits = logits.float()
            loss = F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction=reduction)
            loss.backward(one)
            if self.margin is not None:
                self.margin.add_gradients_()
            self.optimiser.step(self.rates[self.step])
            loss, logits = loss.detach(), logits.detach()
            if self.extra_per_batch:  # the history is that of the training images alone
                logits, labels = logits[: -self.extra_per_batch], labels[: -self.extra_per_batch]
                loss = F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction=reduction)
            interval.add(loss, logits, labels)
            self.step += 1
            if time.perf_counter() > deadline:
                break

    def _record(self) -> None:
        """Close the interval with a history row."""
        began = time.perf_counter()
        summary = self.interval.summary()
        measured: dict[str, Any] = {"loss": None, "accuracy": None}
        if len(self.validation):
            measured = dict(
                evaluate(self.model, self.validation, device=self.device, precision=self.recipe.precision)
            )
            if not torch.tensor(measured["loss"]).isfinite():
                self._diverge(self.step - 1, "its validation loss is not finite")
        epoch = self.step / self.steps_per_epoch
        row = {
            "epoch": int(epoch) if epoch.is_integer() else epoch,
            "step": self.step,
            "train_loss": summary["train_loss"],
            "train_accuracy": summary["train_accuracy"],
            "validation_loss": measured["loss"],
            "validation_accuracy": measured["accuracy"],
            "learning_rate": self.rates[self.step - 1],
            "seconds": self.interval.seconds + time.perf_counter() - began,
            "images_per_second": summary["images"] / self.interval.seconds,
        }
        self.interval.restart()
        self.history.append(row)
        self._keep_good()
        self.progress.report(describe_row(row))
        self._tell(row)

    def _tell(self, row: dict[str, Any]) -> None:
        if self.on_record is not None:
            self.on_record(dict(row))

    def _take_snapshot(self) -> None:
        if self.step in self.snapshot_steps:
            self.snapshots[self.step] = _copy_to_cpu(self.model.state_dict())

    def _keep_good(self) -> None:
        """Copy everything that a resume needs, after checking that it is finite."""
        state = self.model.state_dict()
        checks = [tensor.isfinite().all() for tensor in state.values() if tensor.is_floating_point()]
        if checks and not bool(torch.stack(checks).all()):
            self._diverge(max(self.step - 1, 0), "a weight is not finite")
        if self.checkpoints is None:
            return
        groups = {
            "state": state,
            "optimiser": self.optimiser.tensors(),
            "interval": self.interval.tensors(),
            "generator": generator_states(self.device) if self.step > self.start_step else {},
            **{f"snapshot/{step}": snapshot for step, snapshot in self.snapshots.items()},
        }
        tensors = {f"{group}/{name}": t for group, members in groups.items() for name, t in members.items()}
        self.good = (
            _copy_to_cpu(tensors),
            {**self._progress_record(), "interval_seconds": self.interval.seconds},
        )

    def _progress_record(self) -> dict[str, Any]:
        seconds = self.seconds_before + time.perf_counter() - self.began
        return {"step": self.step, "history": list(self.history), "seconds": seconds, "finished": False}

    def _resume(self) -> bool:
        """Load the checkpoint, if there is one; return whether it is that of the finished training."""
        stored = self.checkpoints.load(self.fingerprint) if self.checkpoints is not None else None
        if stored is None:
            return False
        tensors, record = stored
        if not self._fits(tensors, record):
            logger.warning("The checkpoint of %s does not fit its network; starting over.", self.label)
            return False
        self.model.load_state_dict(_group(tensors, "state"))
        self.step, self.history, self.seconds_before = record["step"], record["history"], record["seconds"]
        steps = {int(name.split("/")[1]) for name in tensors if name.startswith("snapshot/")}
        self.snapshots = {step: _group(tensors, f"snapshot/{step}") for step in sorted(steps)}
        if not record["finished"]:
            self.optimiser.load(_group(tensors, "optimiser"))
            self.interval.load(_group(tensors, "interval"), record["interval_seconds"])
            self.generator_states = _group(tensors, "generator")
            logger.info("%s resumes from step %d of %d.", self.label, self.step, self.total)
        return bool(record["finished"])

    def _fits(self, tensors: State, record: dict[str, Any]) -> bool:
        needed = {f"state/{name}": tensor for name, tensor in self.model.state_dict().items()}
        if not record["finished"]:
            needed |= {f"optimiser/{name}": tensor for name, tensor in self.optimiser.tensors().items()}
        return all(name in tensors and tensors[name].shape == t.shape for name, t in needed.items())

    def _result(self, finished: bool) -> Training:
        """Gather the result, and save it unless it was just read."""
        state = _copy_to_cpu(self.model.state_dict())
        record = self._progress_record() | {"finished": True}
        if finished:
            record["seconds"] = self.seconds_before
        elif self.checkpoints is not None:
            tensors = {f"state/{name}": tensor for name, tensor in state.items()}
            for step, snapshot in self.snapshots.items():
                tensors |= {f"snapshot/{step}/{name}": tensor for name, tensor in snapshot.items()}
            self.checkpoints.save(self.fingerprint, tensors, record)
        return Training(
            state=state,
            snapshots=self.snapshots,
            history=self.history,
            steps=self.total,
            epochs=(self.total - self.start_step) / self.steps_per_epoch,
            seconds=record["seconds"],
            early_stop_step=early_stop_step(self.history),
            fingerprint=self.fingerprint,
        )

    def _diverge(self, step: int, reason: str) -> NoReturn:
        """Raise DivergenceError for a 0-based step, with the last good state in a checkpoint."""
        kept = "there is no good checkpoint"
        if self.checkpoints is not None and self.good is not None:
            path = self.checkpoints.save(self.fingerprint, *self.good)
            kept = f"the last good checkpoint, of step {self.good[1]['step']}, is {path}"
        epoch = step // self.steps_per_epoch + 1
        raise DivergenceError(
            f"{self.label} diverged in epoch {epoch} (step {step + 1} of {self.total}): {reason}; {kept}. "
            f"A lower learning_rate, warmup_epochs or clip_norm may help."
        )


def _copy_to_cpu(tensors: State) -> State:
    """Deep copies in plain row-major layout, on the CPU."""
    copies = {}
    for name, tensor in tensors.items():
        copy = torch.empty(tensor.shape, dtype=tensor.dtype, memory_format=torch.contiguous_format)
        copies[name] = copy.copy_(tensor.detach())
    return copies


def _group(tensors: State, group: str) -> State:
    prefix = f"{group}/"
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
