"""Composition: a ticket within a ticket, such as CTS on what a layer ticket keeps.

The parent is a physically smaller network. It is trained like a dense network (``pretrain_parent``), which
gives it its own theta_0, theta_k and theta_T. Every method then works on it as on the dense run, and
``adopt`` writes the whole chain into the result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.options import METHODS
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.search.extraction import Extraction
from lottery_pipeline.search.parents import check_ticket
from lottery_pipeline.sparsity.masks import count_kept, count_prunable
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ladder import Ladder
from lottery_pipeline.tickets.ticket import Ticket, make_ticket
from lottery_pipeline.training.dense import DenseRun, pretrain
from lottery_pipeline.training.dense_file import find_dense_run
from lottery_pipeline.training.loop import OnRecord
from lottery_pipeline.training.recipe import Recipe


def pretrain_parent(
    parent: Ticket,
    images: ImageSplits,
    recipe: Recipe,
    *,
    rewind_epoch: float,
    seed: int,
    device: str = "auto",
    checkpoints: Checkpoints | None = None,
    on_record: OnRecord | None = None,
    stored: DenseRun | None = None,
) -> DenseRun:
    """Train a parent ticket as a dense network: the dense run that a method on top of it starts from.

    Args:
        parent: a ticket that keeps every weight of its (smaller) network and starts at step 0.
        images: those it was made from.
        recipe: for this training, the method on top, and the retraining.
        rewind_epoch: k of the parent's own theta_k.
        seed: the run's seed.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        checkpoints: to survive interruptions.
        on_record: called with every history row.
        stored: an earlier result; returned unchanged if it is the one that would be computed.

    Raises:
        TicketError: the ticket is masked, starts late, is trained already, or belongs to other images.
    """
    check_ticket(parent, images)
    if parent.header.kind != "ticket":
        raise TicketError(f"the {parent.method} ticket is trained already; give the ticket it came from")
    if count_kept(parent.masks) != count_prunable(parent.masks):
        raise TicketError(
            f"the {parent.method} ticket is masked, and a method on top would bring weights back; "
            "only tickets that make the network physically smaller (layer, filter) can be parents"
        )
    if parent.header.rewind_step:
        raise TicketError(
            f"the {parent.method} ticket starts at step {parent.header.rewind_step}; a parent starts at "
            f"step 0, so set {parent.method}.extraction.start to initial"
        )
    return pretrain(
        images,
        parent.header.spec,
        recipe,
        rewind_epoch=rewind_epoch,
        seed=seed,
        device=device,
        checkpoints=checkpoints,
        on_record=on_record,
        stored=stored,
        allow_factory=parent.allow_factory,
        initial=parent.state,
        label=f"{parent.method} parent",
    )


def adopt(
    found: Extraction,
    parent: Ticket,
    parent_run: DenseRun,
    dense: DenseRun,
    *,
    search_epochs: float = 0.0,
    search_seconds: float = 0.0,
    search_parts: Sequence[Mapping[str, Any]] = (),
) -> Extraction:
    """Record a parent in what a method has found on top of it.

    Args:
        found: what the method found on ``parent_run``.
        parent: the parent ticket.
        parent_run: what ``pretrain_parent`` made of it. If the child starts from its theta_k, the training up
            to there counts as search: unlike the dense run's theta_k, it has not been paid for yet.
        dense: the dense run that the parent was found in.
        search_epochs: cost of finding the parent.
        search_seconds: time it took.
        search_parts: its parts, if there is more than one.

    Returns:
        The same ticket, named ``<parent>><method>``, with the dense run as its dense parent and the costs of
        both steps. A ladder is left out: its rungs would have another D than the leaderboard.
    """
    ticket = found.ticket
    share = ticket.header.rewind_step / parent_run.history[-1]["step"]
    before = share * parent_run.metrics["epochs"], share * parent_run.metrics["seconds"]
    parts: list[Mapping[str, Any]] = [
        *(search_parts or [_part(f"{parent.method} search", search_epochs, search_seconds)]),
        _part(f"{parent.method} to theta_k", *before),
        *(found.parts or [_part(f"{ticket.method} search", found.search_epochs, found.search_seconds)]),
    ]
    named = make_ticket(
        method=f"{parent.method}>{ticket.method}",
        spec=ticket.header.spec,
        masks=ticket.masks,
        state=ticket.state,
        seed=ticket.header.seed,
        rewind_step=ticket.header.rewind_step,
        steps_per_epoch=ticket.header.steps_per_epoch,
        parents={
            **ticket.header.parents,
            "dense": dense.fingerprint,
            "parent": parent.fingerprint,
            "parent_run": parent_run.fingerprint,
        },
        allow_factory=ticket.allow_factory,
    )
    return replace(
        found,
        ticket=named,
        ladder=None,
        search_epochs=found.search_epochs + search_epochs + before[0],
        search_seconds=found.search_seconds + search_seconds + before[1],
        parts=[dict(part) for part in parts if part["epochs"] or part["seconds"]],
    )


def find_own_run(ticket: Ticket, dense: DenseRun, models: Path) -> DenseRun:
    """Return the dense run that a ticket was found in: that of its parent, if it is a ticket within a ticket.

    A method with a network of its own leaves a ladder, whose rung 0 is the network found with all its
    weights: that is the dense run of its ticket, with the ticket's start.

    Args:
        ticket: any.
        dense: the dense run of the full network.
        models: folder with a folder for each method.

    Raises:
        TicketError: the stored ladder is missing, or belongs to another ticket.
    """
    method = METHODS.get(ticket.method)
    if method is not None and method.own_network:
        own = find_dense_run(models / ticket.method / "parent_run.safetensors")
        ladder = Ladder.load(models / ticket.method / "ladder.safetensors")
        if ladder.ticket(-1).fingerprint != ticket.fingerprint:
            raise TicketError(
                f"the stored ladder of {ticket.method} belongs to another ticket than this one "
                f"({ticket.fingerprint[:12]}); `kedro run --pipelines {ticket.method}` makes both again"
            )
        state = ladder.state
        return replace(
            own or dense,
            spec=ladder.header.spec,
            initial=state,
            rewind=state,
            final=state,
            rewind_step=ladder.header.rewind_step,
        )
    parent = ticket.method.rpartition(">")[0]
    stored = find_dense_run(models / parent / "parent_run.safetensors") if parent else None
    return dense if stored is None else stored


def _part(name: str, epochs: float, seconds: float) -> dict[str, Any]:
    return {"name": name, "epochs": epochs, "seconds": seconds}
