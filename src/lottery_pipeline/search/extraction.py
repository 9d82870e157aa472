"""What every method is given (``Search``) and what it returns (``Extraction``)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lottery_pipeline import __version__
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options import Start
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint
from lottery_pipeline.reproducibility.measured import set_apart
from lottery_pipeline.search.parents import check_dense_run
from lottery_pipeline.search.rewinding import convert_step, find_first_step
from lottery_pipeline.sparsity.masks import Masks
from lottery_pipeline.sparsity.selection import Scores
from lottery_pipeline.tickets.ladder import Ladder
from lottery_pipeline.tickets.ticket import Ticket, make_ticket
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.history import CLOCK_COLUMNS
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import OnLabelledRecord, State


class StartPoint(NamedTuple):
    """Where a search and its ticket start: a step of the dense run, its weights and buffers."""

    step: int
    state: State


@dataclass(frozen=True, eq=False)
class Search:
    """What a search for a ticket is given, the same for every method. Nothing here changes.

    Attributes:
        images: those the dense run was trained on; searches see the training part.
        dense: the dense run: theta_0, theta_k, theta_T and the model they belong to.
        recipe: for the trainings inside a search and the retraining after it.
        seed: the run's seed; every draw of the search is derived from it.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        checkpoints: where unfinished work is saved and resumed from; None saves nothing.
        on_record: called as ``on_record(part, row)`` while the search runs, for example with ``"round_03"``
            and a history row; after a resume the earlier rows come again, in order.
        allow_factory: the trusted ``package.module:factory``, if the model is one.
        match: the network of another ticket, whose size the new ticket must have.

    Raises:
        TicketError: the dense run belongs to other images.
    """

    images: ImageSplits
    dense: DenseRun
    recipe: Recipe
    seed: int
    device: str = "auto"
    checkpoints: Checkpoints | None = None
    on_record: OnLabelledRecord | None = None
    allow_factory: str | None = None
    match: ModelSpec | None = None

    def __post_init__(self) -> None:
        check_dense_run(self.dense, self.images)

    @property
    def place(self) -> torch.device:
        """The chosen device."""
        return pick_device(self.device)

    def start(self, start: Start) -> StartPoint:
        """Return a start point of the dense run: theta_0 (``initial``) or theta_k (``rewind``).

        Raises:
            TicketError: a training with ``recipe`` has ended by theta_k; it is said before the search.
        """
        dense = self.dense
        if start == "initial":
            return StartPoint(0, dense.initial)
        convert_step("rewound", dense.rewind_step, dense.steps_per_epoch, self.recipe, len(self.images.train))
        return StartPoint(dense.rewind_step, dense.rewind)

    def first_step(self, method: str, start: StartPoint) -> int:
        """Return the step of ``recipe`` at which a training from a start point begins.

        Raises:
            TicketError: the training has ended by then.
        """
        images = len(self.images.train)
        return find_first_step(method, start.step, self.dense.steps_per_epoch, self.recipe, images)

    def build(self, state: Mapping[str, Tensor], spec: ModelSpec | None = None) -> nn.Module:
        """Build the network of the dense run, or another one, with these weights and buffers; on the CPU."""
        model = build_model(spec or self.dense.spec, seed=0, allow_factory=self.allow_factory)
        model.load_state_dict(state)
        return model

    def fingerprint(self, computation: str, **determinants: Any) -> str:
        """Return the fingerprint of a computation on these images and this dense run.

        Args:
            computation: its name.
            **determinants: everything else that determines it, as plain JSON: options, recipe, start weights.
        """
        return fingerprint(
            {
                "computation": computation,
                "version": __version__,
                "dense": self.dense.fingerprint,
                "images": self.images.fingerprint,
                "seed": self.seed,
                **determinants,
            }
        )

    def make_ticket(
        self,
        method: str,
        masks: Masks,
        start: StartPoint,
        spec: ModelSpec | None = None,
    ) -> Ticket:
        """Make the ticket that was found, with the dense run and the images as its parents.

        Args:
            method: its name.
            masks: bool by prunable parameter name.
            start: where the ticket starts from.
            spec: its network, if that is not the dense one.

        Raises:
            TicketError: masks or weights do not fit the network, or no weight is kept.
        """
        return make_ticket(
            method=method,
            spec=spec or self.dense.spec,
            masks=masks,
            state=start.state,
            seed=self.seed,
            rewind_step=start.step,
            steps_per_epoch=self.dense.steps_per_epoch,
            parents=self.parents,
            allow_factory=self.allow_factory,
        )

    @property
    def parents(self) -> dict[str, str]:
        """Fingerprints of what a ticket found here comes from."""
        return {"dense": self.dense.fingerprint, "images": self.images.fingerprint}


@dataclass(frozen=True)
class Extraction:
    """The result of a search for a ticket.

    Attributes:
        ticket: what was found, not yet trained.
        search_epochs: cost of the search beyond the start point, in epochs of training. Forward and backward
            passes are counted; a training step is worth three forward passes.
        search_seconds: time it took.
        ladder: all rungs, if the method is iterative.
        trace: rows written during the search, for IMP one per epoch with its ``round``.
        rank: returns ``scores``; not called before somebody asks, because that takes several times the memory
            of the network.
        parts: name, epochs and seconds of each part of the search, if there is more than one; also its
            ``macs`` if the search did not run at the size of the ticket's network.
    """

    ticket: Ticket
    search_epochs: float
    search_seconds: float
    ladder: Ladder | None = None
    trace: list[dict[str, Any]] = field(default_factory=list)
    rank: Callable[[], Scores | None] = lambda: None
    parts: list[dict[str, Any]] = field(default_factory=list)

    @cached_property
    def scores(self) -> Scores | None:
        """What the mask was made from, higher = keep; None for IMP, which ranks again in every round."""
        return self.rank()

    @property
    def costs(self) -> dict[str, Any]:
        """``search_epochs``, ``search_seconds`` and ``search_parts``, as ``evaluate_ticket`` takes them."""
        costs = {"search_epochs": self.search_epochs, "search_seconds": self.search_seconds}
        return {**costs, "search_parts": self.parts} if self.parts else costs

    def record(self) -> dict[str, Any]:
        """Return the costs as they are stored, with the seconds apart in ``measured``."""
        return set_apart(self.costs, ("search_seconds", *CLOCK_COLUMNS))
