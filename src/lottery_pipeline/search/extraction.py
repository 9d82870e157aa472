"""What every extraction method returns, and the guards that stop it from mixing data sets and models."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options import Start
from lottery_pipeline.sparsity.selection import Scores
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ladder import Ladder
from lottery_pipeline.tickets.ticket import Ticket
from lottery_pipeline.training.dense import DenseRun


@dataclass(frozen=True)
class Extraction:
    """The result of a search for a ticket.

    Attributes:
        ticket: what was found, not yet trained.
        search_epochs: cost of the search beyond the start point in epochs of training: a pass over the
            training images counts by its forward and backward passes, of which a training step has three
            forward passes' worth.
        search_seconds: their time.
        ladder: all rungs, where the method is iterative.
        trace: rows written during the search, for IMP one per epoch with its ``round``.
        scores: what the mask was made from, higher = keep; None for IMP, which ranks anew in every round.
        parts: name, epochs and seconds of what the search consists of, where that is more than one thing.
    """

    ticket: Ticket
    search_epochs: float
    search_seconds: float
    ladder: Ladder | None = None
    trace: list[dict[str, Any]] = field(default_factory=list)
    scores: Scores | None = None
    parts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def costs(self) -> dict[str, Any]:
        """``search_epochs``, ``search_seconds`` and ``search_parts``, as ``evaluate_ticket`` takes them."""
        costs = {"search_epochs": self.search_epochs, "search_seconds": self.search_seconds}
        return {**costs, "search_parts": self.parts} if self.parts else costs


def start_point(dense: DenseRun, start: Start) -> tuple[int, dict[str, Tensor]]:
    """Return the step of a start point and its state: theta_0 or theta_k of the dense run."""
    return (0, dense.initial) if start == "initial" else (dense.rewind_step, dense.rewind)


def check_dense_run(dense: DenseRun, images: ImageSplits) -> None:
    """Refuse a dense run of other images.

    Raises:
        TicketError: it was trained on another data set; computing on would give nonsense.
    """
    if dense.images_fingerprint != images.fingerprint:
        raise TicketError(
            f"the dense run was trained on other images ({dense.images_fingerprint[:12]}) than these "
            f"({images.fingerprint[:12]}); run dense_pretraining again or choose the variant it belongs to"
        )
    check_spec(dense.spec, images, "the dense run")


def check_ticket(ticket: Ticket, images: ImageSplits, dense: DenseRun | None = None) -> None:
    """Refuse a ticket of other images, or of another dense run than the one at hand.

    Raises:
        TicketError: they do not belong together.
    """
    found = ticket.header.parents.get("images", images.fingerprint)
    if found != images.fingerprint:
        raise TicketError(
            f"the {ticket.method} ticket was made from other images ({found[:12]}) than these "
            f"({images.fingerprint[:12]}); extract it again for these images"
        )
    check_spec(ticket.header.spec, images, f"the {ticket.method} ticket")
    if dense is None:
        return
    check_dense_run(dense, images)
    if dense.spec.restored() != ticket.header.spec.restored():
        raise TicketError(
            f"the {ticket.method} ticket is a {ticket.header.spec.name}, but the dense run is another model "
            f"({dense.spec.name}); extract the ticket again from this dense run"
        )
    parent = ticket.header.parents.get("dense", dense.fingerprint)
    if parent != dense.fingerprint:
        raise TicketError(
            f"the {ticket.method} ticket comes from another dense run ({parent[:12]}) than this one "
            f"({dense.fingerprint[:12]}); extract it again"
        )


def check_spec(spec: ModelSpec, images: ImageSplits, owner: str) -> None:
    """Refuse a model that was built for images of another kind.

    Raises:
        TicketError: one of classes, channels, size and statistics differs.
    """
    for name in ("num_classes", "channels", "image_size", "mean", "std"):
        has, wanted = getattr(spec, name), getattr(images, name)
        if has != wanted:
            raise TicketError(f"{owner} was made for images with {name} {has}, but these have {wanted}")


def least_validation_loss(history: Iterable[Mapping[str, Any]]) -> float | None:
    """Return the least validation loss of a history; None where there were no validation images.

    A history out of a table has NaN where a value is missing.
    """
    losses = [row.get("validation_loss") for row in history]
    return min((loss for loss in losses if loss is not None and math.isfinite(loss)), default=None)
