"""One training in progress: its steps, its history rows, its checkpoints."""

import logging
import math
import time
from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from torch import nn

from lottery_pipeline.images.splits import ImageSet, ImageSplits
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.sparsity.masks import Masks
from lottery_pipeline.training.adversarial_batches import choose_perturbation, robust_columns
from lottery_pipeline.training.batches import Batches, split_normalisation
from lottery_pipeline.training.collectives import Pace, agree, check_equal
from lottery_pipeline.training.device import (
    generator_states,
    place_model_,
    reseed,
    seeded,
    set_generator_states,
)
from lottery_pipeline.training.evaluation import evaluate
from lottery_pipeline.training.events import EventError, Events, Replacement
from lottery_pipeline.training.freezing import set_training_
from lottery_pipeline.training.good_state import GoodState
from lottery_pipeline.training.history import Interval, early_stop_step
from lottery_pipeline.training.margin import Margin, MarginTerm
from lottery_pipeline.training.optimiser import MaskedOptimiser
from lottery_pipeline.training.parallel import find_team
from lottery_pipeline.training.progress import Progress, describe_row
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import OnRecord, State, Training, make_divergence
from lottery_pipeline.training.shared_loss import SharedLoss
from lottery_pipeline.training.state import copy_to_cpu, has_shapes, take_group, take_numbered_groups
from lottery_pipeline.training.step import TrainingStep
from lottery_pipeline.training.steps import Steps
from lottery_pipeline.training.synced_norm import synced_norms
from lottery_pipeline.training.tasks import TASKS

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
        events: Events | None,
        frozen_modules: Sequence[str],
    ) -> None:
        self.model, self.recipe, self.seed, self.device = model, recipe, seed, device
        self.on_record, self.good = on_record, GoodState(checkpoints, fingerprint)
        self.label, self.fingerprint = label, fingerprint
        self.rates = recipe.learning_rates(len(images.train))
        self.total = len(self.rates)
        self.steps_per_epoch = recipe.steps_per_epoch(len(images.train))
        self.start_step = self.step = start_step
        self.snapshot_steps = set(snapshot_steps)
        network, normalise = split_normalisation(model, recipe)
        self.team, self.pace = find_team(), Pace(_SEGMENT_SECONDS)
        self.batches = Batches(
            images.train,
            recipe,
            seed=seed,
            device=device,
            normalise=normalise,
            extra=extra,
            extra_per_batch=extra_per_batch,
            team=self.team,
        )
        self.validation = images.validation.to(device)
        self.optimiser = MaskedOptimiser(model, recipe, masks)
        scale = recipe.batch_size if recipe.loss_reduction == "sum" else 1.0
        self.events, self.frozen_modules = events, frozen_modules
        self.task = TASKS[images.task]
        is_mean = recipe.loss_reduction == "mean"
        step = TrainingStep(
            model=model,
            network=network,
            optimiser=self.optimiser,
            batches=self.batches,
            recipe=recipe,
            task=self.task,
            image_size=images.image_size,
            one=torch.ones((), device=device),
            extra_per_batch=extra_per_batch,
            perturb=choose_perturbation(recipe, extra=extra_per_batch),
            margin=None if margin is None else MarginTerm(margin, model, masks or {}, scale),
            events=events,
            shared=None if self.team is None else SharedLoss(self.team, self.task, is_mean),
        )
        self.interval = Interval(device, recipe.loss_reduction, self.task, images.image_size)
        self.steps = Steps(step, self.rates, self.interval, steps_per_epoch=self.steps_per_epoch, label=label)
        self.history: list[dict[str, Any]] = []
        self.snapshots: dict[int, State] = {}
        self.seconds_before = 0.0  # spent before an interruption
        self.began = time.perf_counter()
        self.generator_states: State = {}  # of a checkpoint inside an epoch

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
            set_training_(self.model, self.frozen_modules)
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
        seconds = time.perf_counter() - began
        self.pace.adapt(self.step - first, seconds)
        self.interval.seconds += seconds
        bad = (~losses.isfinite()).nonzero()
        if len(bad):
            self._diverge(self.step - len(losses) + int(bad[0]), "its loss is not finite")
        self.progress.advance(self.step - first)
        if self.events is not None and (self.step % self.steps_per_epoch == 0 or self.step == self.total):
            self._end_epoch(self.events)
        self._take_snapshot()
        if self.step in (next_row, self.total):
            self._record()
        if self.step < self.total and agree(self.good.is_due):
            self._keep_good()
            self.good.save()

    def _end_epoch(self, events: Events) -> None:
        try:
            change = events.end_epoch(self.step, self.optimiser.tensors())
        except EventError as error:
            raise EventError(f"{self.label}: {error}; {self.good.save()}.") from error
        if change is not None:
            self._replace(change)

    def _replace(self, change: Replacement) -> None:
        """Train another network from here on, with its own masks and what the optimiser knew of it."""
        self.model = change.model
        place_model_(self.model, self.device)
        self.model.train()
        network, _ = split_normalisation(self.model, self.recipe)
        self.optimiser = MaskedOptimiser(self.model, self.recipe, change.masks)
        self.steps.change_network(self.model, network, self.optimiser)
        if change.moments:
            self.optimiser.load(change.moments)

    def _train_until(self, stop: int) -> None:
        """Make optimiser steps until ``stop`` or until a second has passed; nothing here waits."""
        deadline = time.perf_counter() + _SEGMENT_SECONDS
        if self.team is not None:  # the clocks of several processes differ
            stop, deadline = min(stop, self.step + self.pace.agree()), math.inf
        with synced_norms():
            while self.step < stop:
                if self.team is not None:  # what a process draws does not depend on the others
                    reseed(self.device, derive_seed(self.seed, "step", self.step, self.team.rank))
                self.steps.take(self.step)
                self.step += 1
                if time.perf_counter() > deadline:
                    break
        self.steps.settle()

    def _record(self) -> None:
        """Close the interval with a history row."""
        began = time.perf_counter()
        measured: dict[str, Any] = {"validation_loss": None, "validation_accuracy": None}
        if len(self.validation):
            model = self.model if self.events is None else self.events.measured()
            found = evaluate(model, self.validation, device=self.device, precision=self.recipe.precision)
            measured |= {f"validation_{name}": value for name, value in found.items() if name != "count"}
            measured |= robust_columns(model, self.validation, self.recipe.adversary, seed=self.seed)
            if not torch.tensor(found["loss"]).isfinite():
                self._diverge(self.step - 1, "its validation loss is not finite")
        row = self.interval.close(
            step=self.step,
            steps_per_epoch=self.steps_per_epoch,
            rate=self.rates[self.step - 1],
            measured=measured,
            seconds=time.perf_counter() - began,
        )
        row |= {} if self.events is None else self.events.columns()
        self.history.append(row)
        self._keep_good()
        self.progress.report(describe_row(row, self.task.metric))
        self._tell(row)

    def _tell(self, row: dict[str, Any]) -> None:
        if self.on_record is not None:
            self.on_record(dict(row))

    def _take_snapshot(self) -> None:
        if self.step in self.snapshot_steps:
            self.snapshots[self.step] = copy_to_cpu(self.model.state_dict())

    def _keep_good(self) -> None:
        """Copy everything that a resume needs, after checking that it is finite."""
        state = self.model.state_dict()
        checks = [tensor.isfinite().all() for tensor in state.values() if tensor.is_floating_point()]
        if checks and not bool(torch.stack(checks).all()):
            self._diverge(max(self.step - 1, 0), "a weight is not finite")
        if not self.good.is_kept:
            return
        groups = {
            "state": state,
            "optimiser": self.optimiser.tensors(),
            "interval": self.interval.tensors(),
            "generator": generator_states(self.device) if self.step > self.start_step else {},
            "events": {} if self.events is None else self.events.tensors(),
        }
        snapshots = {f"snapshot/{step}": snapshot for step, snapshot in self.snapshots.items()}
        record = self._progress_record() | {"interval_seconds": self.interval.seconds}
        self.good.keep(groups, snapshots, record)

    def _progress_record(self) -> dict[str, Any]:
        seconds = self.seconds_before + time.perf_counter() - self.began
        record = {"step": self.step, "history": list(self.history), "seconds": seconds, "finished": False}
        return record if self.events is None else record | {"events": self.events.progress()}

    def _resume(self) -> bool:
        """Load the checkpoint, if there is one; return whether it is that of the finished training."""
        stored = self.good.load()
        if stored is None:
            return False
        tensors, record = stored
        if self.events is not None:  # the network may have changed since the start
            self._replace(self.events.load(take_group(tensors, "events"), record["events"]))
        moments = {} if record["finished"] else self.optimiser.tensors()
        if not has_shapes(tensors, {"state": self.model.state_dict(), "optimiser": moments}):
            logger.warning("The checkpoint of %s does not fit its network; starting over.", self.label)
            return False
        self.model.load_state_dict(take_group(tensors, "state"))
        self.step, self.history, self.seconds_before = record["step"], record["history"], record["seconds"]
        self.snapshots = take_numbered_groups(tensors, "snapshot")
        if not record["finished"]:
            self.optimiser.load(take_group(tensors, "optimiser"))
            self.interval.load(take_group(tensors, "interval"), record["interval_seconds"])
            self.generator_states = take_group(tensors, "generator")
            logger.info("%s resumes from step %d of %d.", self.label, self.step, self.total)
        return bool(record["finished"])

    def _result(self, finished: bool) -> Training:
        """Gather the result, and save it unless it was just read."""
        state = copy_to_cpu(self.model.state_dict())
        check_equal(f"The weights of {self.label}", state)
        record = self._progress_record() | {"finished": True}
        if finished:
            record["seconds"] = self.seconds_before
        else:
            events = {} if self.events is None else self.events.tensors()
            snapshots = {f"snapshot/{step}": snapshot for step, snapshot in self.snapshots.items()}
            self.good.finish({"state": state, "events": events, **snapshots}, record)
        return Training(
            state=state,
            snapshots=self.snapshots,
            history=self.history,
            steps=self.total,
            epochs=(self.total - self.start_step) / self.steps_per_epoch * self.recipe.passes_per_step(),
            seconds=record["seconds"],
            early_stop_step=early_stop_step(self.history),
            fingerprint=self.fingerprint,
        )

    def _diverge(self, step: int, reason: str) -> NoReturn:
        """Raise DivergenceError for a 0-based step, with the last good state in a checkpoint."""
        raise make_divergence(self.label, step, self.total, self.steps_per_epoch, reason, self.good.save())
