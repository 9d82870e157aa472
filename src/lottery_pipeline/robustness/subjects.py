"""What is measured: the dense network and the trained tickets that were found in it."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.search.parents import check_dense_run, check_ticket
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ticket import Ticket, TicketHeader
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.dense_file import find_dense_run

logger = logging.getLogger(__name__)

DENSE = "dense"


@dataclass(frozen=True, eq=False)
class Subject:
    """A trained network.

    Attributes:
        name: ``dense``, or the run that made it, such as ``ltr`` or ``layer_cts``.
        seed: of its run.
        density: kept / prunable, of its dense parent.
        kept: weights that survive.
        prunable: D.
        reference: name of the dense network that it is compared with; its own name if it is one.
        fingerprint: of the dense run or the trained ticket.
        build: makes the network on the CPU: pixels in [0, 1], [N, C, H, W], to logits [N, K].
    """

    name: str
    seed: int
    density: float
    kept: int
    prunable: int
    reference: str
    fingerprint: str
    build: Callable[[], nn.Module]

    def describe(self) -> dict[str, Any]:
        """Return everything but the network, as plain JSON; ``method`` is its name."""
        names = ("seed", "density", "kept", "prunable", "reference", "fingerprint")
        return {"method": self.name, **{name: getattr(self, name) for name in names}}


def collect_subjects(
    dense: DenseRun,
    tickets: Mapping[str, Callable[[], Ticket]],
    images: ImageSplits,
    *,
    models: Path,
    made: Mapping[str, str] | None = None,
    allow_factory: str | None = None,
    chosen: Iterable[str] = (),
) -> list[Subject]:
    """Return the dense network and what was found in it.

    Args:
        dense: the dense run.
        tickets: by run, what reads its trained ticket.
        images: those that all of them were trained on.
        models: folder with a folder for each run, where methods with a network of their own leave its dense
            run.
        made: fingerprints of the trained tickets that this run has made; no others will do for them.
        allow_factory: the user's own model factory, if the dense run names one.
        chosen: names of runs, all by default.

    Returns:
        The dense network first; the dense network of a ticket with a network of its own stands before it. A
        ticket of other images or another dense run, and one that cannot be read, is left out with a warning,
        unless it was chosen or made by this run.

    Raises:
        TicketError: such a ticket is missing or does not belong to this dense run.
    """
    check_dense_run(dense, images)
    wanted = tuple(chosen)
    must = {*wanted, *(made or {})}
    if missing := [name for name in wanted if name not in tickets]:
        raise TicketError(
            f"there is no trained ticket of {missing[0]}; `kedro run --pipelines {missing[0]}` makes one"
        )
    subjects = [_describe_dense(DENSE, dense, allow_factory)]
    for name in wanted or sorted(tickets):
        try:
            trained = tickets[name]()
            _check_made(name, trained, (made or {}).get(name))
            own = _find_own_parent(trained, dense, models / name)
            check_ticket(trained, images, own or dense)
        except TicketError as error:
            if name in must:
                raise
            logger.warning("%s is left out: %s.", name, str(error).rstrip("."))
            continue
        if own is not None:
            subjects.append(_describe_dense(f"{name}_{DENSE}", own, allow_factory))
        parent = subjects[0] if own is None else subjects[-1]
        subjects.append(_describe_ticket(name, trained.header, parent, tickets[name]))
    return subjects


def _check_made(name: str, trained: Ticket, fingerprint: str | None) -> None:
    if fingerprint not in (None, trained.fingerprint):
        raise TicketError(
            f"the stored ticket of {name} ({trained.fingerprint[:12]}) is not the one that this run has made "
            f"({fingerprint[:12]}): another run has replaced it"
        )


def _find_own_parent(trained: Ticket, dense: DenseRun, folder: Path) -> DenseRun | None:
    """Return the dense run of a ticket with a network of its own; None if it was found in the dense run."""
    parent = trained.header.parents.get("dense", dense.fingerprint)
    if parent == dense.fingerprint:
        return None
    own = find_dense_run(folder / "parent_run.safetensors")
    return own if own is not None and own.fingerprint == parent else None


def _describe_dense(name: str, run: DenseRun, allow_factory: str | None) -> Subject:
    def build() -> nn.Module:
        model = build_model(run.spec, seed=0, allow_factory=allow_factory)
        model.load_state_dict(run.final)
        return model

    whole = int(run.metrics["prunable"])
    return Subject(name, run.seed, 1.0, whole, whole, name, run.fingerprint, build)


def _describe_ticket(name: str, header: TicketHeader, parent: Subject, read: Callable[[], Ticket]) -> Subject:
    def build() -> nn.Module:
        # Read again: all tickets of a large network at once are more than the memory holds.
        ticket = read()
        if ticket.fingerprint != header.fingerprint:
            raise TicketError(f"another run has replaced the stored ticket of {name}; evaluate again")
        return ticket.build()

    return Subject(
        name,
        header.seed,
        header.kept / parent.prunable,
        header.kept,
        parent.prunable,
        parent.name,
        header.fingerprint,
        build,
    )
