"""The ladder: every rung of an iterative search in one artefact, nested by construction.

One byte per weight says how many rounds it survived; the mask of rung r is ``survived >= r``. Rung 0 is the
dense network, the last rung is the ticket. File: safetensors with ``survived/<name>`` (uint8) and
``state/<name>`` (the start weights), checked like a ticket when it is read.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options import MAX_ROUNDS
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.reproducibility.measured import flatten_record
from lottery_pipeline.sparsity.masks import Masks, count_prunable
from lottery_pipeline.tickets.blueprint import Blueprint, check_entries, check_values, draw_blueprint
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.header import LadderHeader, LadderRow, identify, library_versions, parse_header
from lottery_pipeline.tickets.tensor_file import TensorFile, open_tensor_file, tensor_file_bytes
from lottery_pipeline.tickets.ticket import Ticket, make_ticket

LADDER_KEY = "lottery_pipeline.ladder"


@dataclass(frozen=True, eq=False)
class Ladder:
    """All rungs of one search; made by ``make_ladder``.

    Attributes:
        header: provenance, counts and rows.
        survived: uint8 by prunable parameter name: the number of rounds each weight survived.
        state: the full state dict of the start point, unmasked.
        allow_factory: the one ``package.module:factory`` with which this process may build tickets.
    """

    header: LadderHeader
    survived: dict[str, Tensor]
    state: dict[str, Tensor]
    allow_factory: str | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row per rung trained during the search, 0 to R - 1 (``LadderRow``)."""
        return [row.model_dump() for row in self.header.rows]

    @property
    def last_rung(self) -> int:
        """R, the number of the last rung."""
        return len(self.header.counts) - 1

    @property
    def fingerprint(self) -> str:
        """SHA-256 of provenance and content, without seconds."""
        return self.header.fingerprint

    def masks(self, rung: int) -> Masks:
        """Return the masks of a rung; -1 is the last one.

        Raises:
            TicketError: there is no such rung.
        """
        chosen = self.last_rung if rung == -1 else rung
        if not 0 <= chosen <= self.last_rung:
            raise TicketError(f"rung {rung} is not on this ladder: rungs are 0 to {self.last_rung}, or -1")
        return {name: counts >= chosen for name, counts in self.survived.items()}

    def ticket(self, rung: int) -> Ticket:
        """Return the ticket of a rung; -1 is the last one, 0 the dense network at the start point."""
        header = self.header
        return make_ticket(
            method=header.method,
            spec=header.spec,
            masks=self.masks(rung),
            state=self.state,
            seed=header.seed,
            rewind_step=header.rewind_step,
            steps_per_epoch=header.steps_per_epoch,
            parents=header.parents,
            allow_factory=self.allow_factory,
        )

    def to_bytes(self) -> bytes:
        """Return the content of the ladder's file; equal ladders give equal bytes."""
        return tensor_file_bytes(
            _tensors(self.survived, self.state), self.header.model_dump(mode="json"), key=LADDER_KEY
        )

    def save(self, path: str | Path) -> None:
        """Write the ladder's file atomically."""
        write_atomically(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | Path, allow_factory: str | None = None) -> "Ladder":
        """Read a ladder's file, trusting nothing in it.

        Raises:
            TicketError: the file is not a valid ladder; one sentence that names it.
        """
        with open_tensor_file(path, key=LADDER_KEY) as file:
            header = parse_header(file, LadderHeader)
            blueprint = draw_blueprint(header.spec, allow_factory)
            _check_layout(file, blueprint)
            if header.fingerprint != identify(header.model_dump(mode="json"), file.check_content()):
                raise TicketError("its fingerprint does not agree with its content")
            for name in blueprint.state:
                for chunk in file.chunks(f"state/{name}"):
                    check_values(name, chunk)
            counts = (chunk for name in blueprint.prunable for chunk in file.chunks(f"survived/{name}"))
            _check_header(header, counts)
            survived = {name: file.read(f"survived/{name}") for name in blueprint.prunable}
            state = {name: file.read(f"state/{name}") for name in blueprint.state}
        return cls(header, survived, state, allow_factory)


def read_ladder_header(path: str | Path) -> LadderHeader:
    """Read and check only the header of a ladder file.

    Raises:
        TicketError: the file is not a ladder; one sentence that names it.
    """
    with open_tensor_file(path, key=LADDER_KEY) as file:
        return parse_header(file, LadderHeader)


def make_ladder(
    *,
    method: str,
    spec: ModelSpec,
    survived: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    counts: Sequence[int],
    rows: Sequence[Mapping[str, Any]],
    seed: int,
    rewind_step: int,
    parents: Mapping[str, str],
    steps_per_epoch: int | None = None,
    allow_factory: str | None = None,
) -> Ladder:
    """Make a ladder; copies the tensors.

    Raises:
        TicketError: the counts are not those of ``survived``.
    """
    own_survived = {name: tensor.detach().cpu().clone() for name, tensor in survived.items()}
    own_state = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
    header = LadderHeader(
        method=method,
        spec=spec,
        seed=seed,
        rewind_step=rewind_step,
        steps_per_epoch=steps_per_epoch if rewind_step else None,
        counts=tuple(counts),
        rows=tuple(LadderRow.model_validate(dict(row)) for row in rows),
        parents=dict(parents),
        versions=library_versions(),
        fingerprint="0" * 64,
    )
    for name, tensor in own_state.items():
        check_values(name, tensor)
    _check_header(header, own_survived.values())
    own = identify(header.model_dump(mode="json"), fingerprint_tensors(_tensors(own_survived, own_state)))
    return Ladder(header.model_copy(update={"fingerprint": own}), own_survived, own_state, allow_factory)


def complete_rows(ladder: Ladder, metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of all rungs; the last one comes from the metrics of the retrained ticket.

    Args:
        ladder: its ``rows`` end before the last rung, which the search does not train.
        metrics: what ``evaluate_ticket`` returned for the last rung.

    Raises:
        TicketError: the metrics are of another ticket.
    """
    metrics = flatten_record(metrics)
    prunable = count_prunable(ladder.masks(0))
    if (metrics["kept"], metrics["prunable"]) != (ladder.header.counts[-1], prunable):
        raise TicketError(
            f"the metrics are of a ticket with {metrics['kept']} of {metrics['prunable']} weights, "
            f"but the last rung keeps {ladder.header.counts[-1]} of {prunable}"
        )
    last = LadderRow(
        rung=ladder.last_rung,
        density=metrics["density"],
        kept=metrics["kept"],
        prunable=metrics["prunable"],
        test_accuracy=metrics["test_accuracy"],
        validation_accuracy=metrics["validation_accuracy"],
        early_stop_step=metrics["early_stop_step"],
        early_stop_validation_loss=metrics["early_stop_validation_loss"],
        epochs=metrics["train_epochs"],
        seconds=metrics["train_seconds"],
    )
    return [*ladder.rows[: ladder.last_rung], last.model_dump()]


def _tensors(survived: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        **{f"survived/{name}": tensor for name, tensor in survived.items()},
        **{f"state/{name}": tensor for name, tensor in state.items()},
    }


def _check_layout(file: TensorFile, blueprint: Blueprint) -> None:
    wanted = {f"survived/{name}" for name in blueprint.prunable} | {
        f"state/{name}" for name in blueprint.state
    }
    check_entries(file.entries, wanted)
    for name in blueprint.state:
        entry = file.entries[f"state/{name}"]
        blueprint.check_state(name, entry.dtype, entry.shape)
    for name, shape in blueprint.prunable.items():
        entry = file.entries[f"survived/{name}"]
        if entry.dtype != torch.uint8 or entry.shape != shape:
            raise TicketError(f"survived/{name} is not uint8 of shape {list(shape)}")


def _check_header(header: LadderHeader, survived: Iterable[Tensor]) -> None:
    """Compare counts and rows with the survival counts, which may come in pieces."""
    weights = torch.zeros(MAX_ROUNDS + 1, dtype=torch.int64)
    for counts in survived:
        weights += torch.bincount(counts.reshape(-1), minlength=MAX_ROUNDS + 1)
    highest = max(int(weights.nonzero().max()), len(header.counts) - 1)
    alive = weights.flip(0).cumsum(0).flip(0)[: highest + 1].tolist()
    if alive != list(header.counts):
        raise TicketError("its counts are not the numbers of weights that survived each round")
    if header.counts[-1] == 0:
        raise TicketError("its last rung keeps no weight")
    if len(header.rows) > len(header.counts):
        raise TicketError("it has more rows than rungs")
    for rung, row in enumerate(header.rows):
        if row.rung != rung or row.kept != header.counts[rung]:
            raise TicketError(f"its row {rung} does not agree with its counts")
        if row.prunable != header.counts[0] or row.density != row.kept / row.prunable:
            raise TicketError(f"the density of rung {row.rung} is not kept / prunable")
