"""The work of one row: find its ticket, train it, measure it; every step resumes where it was stopped."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.environment import describe_environment
from benchmarks.published.budget import Budget, OutOfTimeError
from benchmarks.published.plan import (
    DENSE,
    LADDERS,
    SHUFFLED,
    Row,
    choose_method,
    density_of,
    find_need,
    list_rungs,
)
from benchmarks.published.settings import Setting
from benchmarks.published.store import Costs, find_ticket, row_path, save_ticket
from benchmarks.specification import specify
from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.methods import METHODS
from lottery_pipeline.methods.imp.round import describe_dense_run, train_rung
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.search.extraction import Search
from lottery_pipeline.sparsity.allocation import kept_count
from lottery_pipeline.sparsity.masks import Masks, full_masks
from lottery_pipeline.sparsity.selection import keep_top_k
from lottery_pipeline.sparsity.shuffling import shuffle_masks
from lottery_pipeline.tickets.ticket import Ticket
from lottery_pipeline.training.dense import DenseRun, pretrain
from lottery_pipeline.training.dense_file import find_dense_run, save_dense_run
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.evaluation import evaluate
from lottery_pipeline.training.result import DivergenceError

logger = logging.getLogger(__name__)


def work_through(
    rows: list[Row], has_row: Callable[[Row], bool], measure: Callable[[Row], None], budget: Budget
) -> bool:
    """Measure the rows that are missing, in their order, until all are there or the time is over.

    Returns:
        Whether all rows are there.
    """
    for row in rows:
        if has_row(row):
            continue
        if not budget.start():
            logger.info("%s is left to the next call: %.0f seconds are left.", row.name, budget.left)
            return False
        logger.info("%s begins, %.0f seconds are left.", row.name, budget.left)
        try:
            measure(row)
        except OutOfTimeError as stop:
            logger.info("%s is stopped and resumes with the next call: %s.", row.name, stop)
            return False
        budget.finish()
    return True


@dataclass
class Study:
    """The study in its folder, on one device; keeps the dense runs that it has read or trained."""

    setting: Setting
    images: ImageSplits
    folder: Path
    device: str
    checkpoints: Checkpoints = field(repr=False)
    jobs: int = 1  # rows at once on the device, this one included
    dense: dict[int, DenseRun] = field(default_factory=dict, repr=False)

    def has_row(self, row: Row) -> bool:
        """Whether a row is there."""
        return row_path(self.folder, row).exists()

    def measure(self, row: Row) -> None:
        """Leave the row. A network that diverges is a result, too, unless it is the dense one."""
        search, need = self._begin(row.seed), find_need(self.setting, row)
        try:
            if need is None:
                found = self._describe_dense(search.dense)
            elif "diverged" in json.loads(row_path(self.folder, need).read_text()):
                raise DivergenceError(f"{need.name} diverged")
            else:
                found = self._train_ticket(row, search)
        except DivergenceError as error:
            logger.warning("%s: %s", row.name, error)
            found = {"diverged": str(error)}
        self._write(row, search.dense, found)
        self.checkpoints.clear_used()

    def _begin(self, seed: int) -> Search:
        """Train the dense network of a seed, or read it."""
        if seed not in self.dense:
            path = self.folder / f"dense_seed{seed}.safetensors"
            self.dense[seed] = pretrain(
                self.images,
                specify("resnet20", self.images),
                self.setting.recipe,
                rewind_epoch=self.setting.rewind_epoch,
                seed=seed,
                device=self.device,
                checkpoints=self.checkpoints,
                stored=find_dense_run(path),
                label=f"dense seed {seed}",
            )
            save_dense_run(self.dense[seed], path)
        return Search(
            self.images,
            self.dense[seed],
            self.setting.recipe,
            seed,
            device=self.device,
            checkpoints=self.checkpoints,
        )

    def _describe_dense(self, dense: DenseRun) -> dict[str, Any]:
        metrics = dense.metrics
        costs = {"train_epochs": metrics["epochs"], "train_seconds": metrics["seconds"]}
        return {"test_accuracy": metrics["test_accuracy"], "kept": metrics["prunable"], **costs}

    def _train_ticket(self, row: Row, search: Search) -> dict[str, Any]:
        ticket, costs = self._obtain_ticket(row, search)
        if row.method in LADDERS:
            trained = self._climb(row, search, dict(ticket.masks), costs)
        else:
            retrained = retrain_ticket(
                ticket,
                self.images,
                self.setting.recipe,
                seed=row.seed,
                device=self.device,
                checkpoints=self.checkpoints,
                label=row.name,
            )
            network, place = retrained.ticket.build(), pick_device(self.device)
            accuracy = evaluate(network, self.images.test, device=place)["accuracy"]
            trained = {"test_accuracy": accuracy, **retrained.costs}
        searched = {f"search_{unit}": cost for unit, cost in costs.items()}
        return {**trained, "kept": ticket.kept, **count_gaps(ticket.masks), **searched}

    def _obtain_ticket(self, row: Row, search: Search) -> tuple[Ticket, Costs]:
        """Read the ticket of a row, or find it and write it."""
        need = find_need(self.setting, row)
        stored = find_ticket(self.folder, row)
        if stored is None and need is not None and need.method in LADDERS:
            self._train_ticket(need, search)  # its row is there, but what it left for this one is lost
            stored = find_ticket(self.folder, row)
        if stored is None:
            stored = self._find_ticket(row, search)
            save_ticket(self.folder, row, *stored)
        return stored

    def _find_ticket(self, row: Row, search: Search) -> tuple[Ticket, Costs]:
        if row.method in LADDERS:  # its first rung: the others are pruned once the rung above is trained
            names = prunable_parameters(search.build(search.dense.final), search.dense.spec.ignore_layers)
            final = {name: search.dense.final[name] for name in names}
            row_0 = describe_dense_run(search, search.start("rewind"))
            return prune(search, final, full_masks(final), row.rung), take_costs(row_0)
        if row.method == SHUFFLED:
            ticket, costs = self._obtain_ticket(Row("cts_kl", row.seed, row.rung), search)
            masks = shuffle_masks(ticket.masks, seed=row.seed, how="layer")
            return search.make_ticket("cts", masks, search.start("rewind")), costs
        name, options = choose_method(self.setting, row)
        found = METHODS[name](search, options)
        return found.ticket, {"epochs": found.search_epochs, "seconds": found.search_seconds}

    def _climb(self, row: Row, search: Search, masks: Masks, costs: Costs) -> dict[str, Any]:
        """Train a rung, and prune it to the next one."""
        training, found = train_rung("ltr", search, search.start("rewind"), row.rung, masks)
        rungs = list_rungs(self.setting, row.method)
        for rung in rungs[rungs.index(row.rung) + 1 :][:1]:
            below = prune(search, training.state, masks, rung)
            total = {unit: costs[unit] + cost for unit, cost in take_costs(found).items()}
            save_ticket(self.folder, Row(row.method, row.seed, rung), below, total)
        return {
            "test_accuracy": found["test_accuracy"],
            "train_epochs": found["epochs"],
            "train_seconds": found["seconds"],
            "rungs_trained": [rung for rung in rungs if rung <= row.rung],
        }

    def _write(self, row: Row, dense: DenseRun, found: dict[str, Any]) -> None:
        """Write a row; what was measured with a clock stands apart."""
        is_dense, epochs = row.method == DENSE, self.setting.rewind_epoch
        share = 0 if is_dense else epochs / (self.setting.recipe.epochs or 1)
        seconds = {"rewind_seconds": share * dense.metrics["seconds"]}
        seconds |= {unit: found.pop(unit, 0.0) for unit in ("search_seconds", "train_seconds")}
        prunable = dense.metrics["prunable"]
        content = {
            "method": row.method,
            "seed": row.seed,
            "rung": row.rung,
            "density": found["kept"] / prunable if "kept" in found else density_of(row.rung),
            "prunable": prunable,
            "dense_accuracy": dense.metrics["test_accuracy"],
            "train_images": len(self.images.train),
            "test_images": len(self.images.test),
            "rewind_epochs": 0 if is_dense else epochs,
            "search_epochs": 0.0,
            **found,
            "measured": {**seconds, "at_once": self.jobs, **describe_machine(self.device)},
        }
        write_atomically(row_path(self.folder, row), json.dumps(content, indent=1).encode())
        if "test_accuracy" in found:
            logger.info("%s: %.2f %% of the test images.", row.name, 100 * found["test_accuracy"])


def prune(search: Search, trained: dict[str, Tensor], within: Masks, rung: int) -> Ticket:
    """Make a rung's ticket of rewinding: the largest weights of a trained network, back at theta_k."""
    scores = {name: trained[name].abs() for name in within}
    kept = kept_count(density_of(rung), sum(score.numel() for score in scores.values()))
    return search.make_ticket("ltr", keep_top_k(scores, kept, within=within), search.start("rewind"))


def take_costs(row: dict[str, Any]) -> Costs:
    """Return epochs and seconds of a row of a ladder."""
    return {unit: row[unit] for unit in ("epochs", "seconds")}


def count_gaps(masks: Masks) -> dict[str, int]:
    """Count the layers that keep no weight, and the classes whose row of the classifier keeps none."""
    classifier = next(mask for mask in reversed(masks.values()) if mask.ndim == 2)
    return {
        "dead_layers": sum(not mask.any() for mask in masks.values()),
        "unconnected_classes": int((~classifier.any(dim=1)).sum()),
    }


def describe_machine(device: str) -> dict[str, Any]:
    """Return what a row was measured on, and when."""
    environment = describe_environment()
    names = ("processor", "threads") if pick_device(device).type == "cpu" else ("gpu",)
    known = {name: environment[name] for name in (*names, "torch", "commit")}
    return {**known, "date": datetime.now(UTC).date().isoformat()}
