"""The ticket: masks and start weights of one model in one file, with provenance; safe to open from anyone.

A safetensors file with one metadata key, whose value is JSON: the ``TicketHeader``, and a SHA-256 over it and
all tensors. The tensors are described in ``layout`` (version 1) and ``joined_layout`` (version 2), the short
form of the header that version 2 has in ``short_header``. New tickets are written in version 2.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.sparsity.masks import Masks, check_masks, count_kept, count_prunable
from lottery_pipeline.tickets.blueprint import Blueprint, check_values, draw_blueprint
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.header import (
    TICKET_KEY,
    LayerHeader,
    TicketHeader,
    identify,
    library_versions,
    parse_header,
    read_header,
)
from lottery_pipeline.tickets.joined_layout import is_too_sparse, join_tensors
from lottery_pipeline.tickets.layout import (
    fingerprint_located,
    locate_tensors,
    read_masks,
    separate_tensors,
)
from lottery_pipeline.tickets.short_header import shorten_header
from lottery_pipeline.tickets.tensor_file import TensorFile, open_tensor_file, tensor_file_bytes

__all__ = ["LayerHeader", "Ticket", "TicketError", "TicketHeader", "make_ticket", "read_header"]


@dataclass(frozen=True, eq=False)
class Ticket:
    """A subnetwork and its start weights (or, once trained, its final weights); made by ``make_ticket``.

    Attributes:
        header: provenance, counts and the model specification.
        masks: bool by name of the prunable parameters, in model order; CPU.
        state: the full state dict, exactly 0 where the masks are off; CPU.
        allow_factory: the one ``package.module:factory`` with which this process may build the ticket.
    """

    header: TicketHeader
    masks: Masks
    state: dict[str, Tensor]
    allow_factory: str | None = None

    @property
    def method(self) -> str:
        """Name of the extraction method."""
        return self.header.method

    @property
    def spec(self) -> ModelSpec:
        """The model."""
        return self.header.spec

    @property
    def density(self) -> float:
        """Kept / prunable, in (0, 1]."""
        return self.header.density

    @property
    def kept(self) -> int:
        """Number of surviving weights, k."""
        return self.header.kept

    @property
    def prunable(self) -> int:
        """Number of prunable weights, D."""
        return self.header.prunable

    @property
    def fingerprint(self) -> str:
        """SHA-256 of provenance and content."""
        return self.header.fingerprint

    def build(self, device: str | torch.device = "cpu") -> nn.Module:
        """Build the model with the masked weights, in train mode, sharing no memory with the ticket.

        Args:
            device: where the model is put.

        Returns:
            A module from pixels in [0, 1], [N, C, H, W], to logits. Its buffers are those of the rewind
            point: before measuring an untrained ticket, recompute the batch-norm statistics.
        """
        model = build_model(self.header.spec, seed=0, allow_factory=self.allow_factory)
        model.load_state_dict(self.state)
        return model.to(device)

    def with_version(self, version: Literal[1, 2]) -> "Ticket":
        """Return the same ticket, fingerprint included, to be written in another version of the format."""
        return replace(self, header=self.header.model_copy(update={"format_version": version}))

    def to_bytes(self) -> bytes:
        """Return the content of the ticket's file; equal tickets give equal bytes.

        A ticket that was read from a version-1 file is written as version 1, because somebody may have signed
        these bytes.

        Raises:
            TicketError: the file could not be read back, because the model has too many tensors, or keeps too
                few weights for version 2.
        """
        header = self.header.model_dump(mode="json")
        if self.header.format_version == 1:
            return tensor_file_bytes(separate_tensors(self.masks, self.state), header, key=TICKET_KEY)
        tensors, halves = join_tensors(self.masks, self.state)
        return tensor_file_bytes(tensors, shorten_header(header, halves), key=TICKET_KEY)

    def save(self, path: str | Path) -> None:
        """Write the ticket's file atomically."""
        write_atomically(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | Path, allow_factory: str | None = None) -> "Ticket":
        """Read a ticket's file, trusting nothing in it.

        Args:
            path: the file.
            allow_factory: a ``package.module:factory`` of your own that the ticket may be built with; any
                other import path in the file is refused.

        Raises:
            TicketError: the file is not a valid ticket; one sentence that names it.
        """
        with open_tensor_file(path, key=TICKET_KEY) as file:
            header = parse_header(file, TicketHeader)
            blueprint = draw_blueprint(header.spec, allow_factory)
            located = locate_tensors(file, header, blueprint)
            file.check_content()
            # Every bit and value is checked piece by piece; memory is taken only afterwards.
            content = fingerprint_located(located, header)
            if header.fingerprint != identify(header.model_dump(mode="json"), content):
                raise TicketError("its fingerprint does not agree with its content")
            for name in blueprint.state:
                part = "kept" if name in blueprint.prunable else "state"
                for chunk in located.chunks(f"{part}/{name}"):
                    check_values(name, chunk)
            masks, state = _unpack(located, header, blueprint)
        return cls(header, masks, state, allow_factory)


def make_ticket(
    *,
    method: str,
    spec: ModelSpec,
    masks: Masks,
    state: Mapping[str, Tensor],
    seed: int,
    rewind_step: int,
    parents: Mapping[str, str],
    steps_per_epoch: int | None = None,
    kind: Literal["ticket", "trained"] = "ticket",
    metrics: Mapping[str, float] | None = None,
    allow_factory: str | None = None,
) -> Ticket:
    """Make a ticket from masks and a full state dict; copies both and masks the copy.

    Args:
        method: name of the extraction method.
        spec: the model.
        masks: bool by prunable parameter name.
        state: start weights (``kind="ticket"``) or final weights (``kind="trained"``), and buffers.
        seed: seed of the run.
        rewind_step: step of the dense run that the start weights come from.
        parents: fingerprints by role.
        steps_per_epoch: of the dense run; needed to train from a rewind step under another batch size.
        kind: ``ticket`` or ``trained``.
        metrics: results to keep in a trained ticket's header.
        allow_factory: the trusted ``package.module:factory``, if the model is one.

    Raises:
        TicketError: masks or state do not fit the model, or no weight is kept.
    """
    blueprint = draw_blueprint(spec, allow_factory)
    if set(state) != set(blueprint.state):
        raise TicketError("the state dict does not have the tensors of the model")
    copies = {name: state[name].detach().cpu().clone().contiguous() for name in blueprint.state}
    for name, tensor in copies.items():
        blueprint.check_state(name, tensor.dtype, tuple(tensor.shape))
    try:
        check_masks(masks, {name: copies[name] for name in blueprint.prunable})
    except ValueError as error:
        raise TicketError(str(error)) from error
    own_masks = {name: masks[name].detach().cpu().clone().contiguous() for name in blueprint.prunable}
    kept, prunable = count_kept(own_masks), count_prunable(own_masks)
    if kept == 0:
        raise TicketError("a ticket must keep at least one weight")
    for name, mask in own_masks.items():
        copies[name][~mask] = 0
    for name, tensor in copies.items():
        check_values(name, tensor)
    layers = [
        LayerHeader(name=name, shape=tuple(mask.shape), kept=int(mask.count_nonzero()))
        for name, mask in own_masks.items()
    ]
    numbers = kept + sum(copies[name].numel() for name in copies if name not in own_masks)
    header = TicketHeader(
        format_version=1 if is_too_sparse(prunable, numbers) else 2,
        kind=kind,
        method=method,
        spec=spec,
        seed=seed,
        density=kept / prunable,
        kept=kept,
        prunable=prunable,
        rewind_step=rewind_step,
        steps_per_epoch=steps_per_epoch if rewind_step else None,
        fingerprint="0" * 64,
        parents=dict(parents),
        versions=library_versions(),
        layers=tuple(layers),
        metrics=dict(metrics or {}),
    )
    own = identify(header.model_dump(mode="json"), fingerprint_tensors(separate_tensors(own_masks, copies)))
    return Ticket(header.model_copy(update={"fingerprint": own}), own_masks, copies, allow_factory)


def _unpack(
    located: TensorFile, header: TicketHeader, blueprint: Blueprint
) -> tuple[Masks, dict[str, Tensor]]:
    found: Masks = {}
    for layer, bits in read_masks(located, header):
        mask = np.unpackbits(bits, count=layer.size)
        found[layer.name] = torch.from_numpy(mask).view(torch.bool).reshape(layer.shape)
    masks = {name: found[name] for name in blueprint.prunable}
    state: dict[str, Tensor] = {}
    for name in blueprint.state:
        if name not in masks:
            state[name] = located.read(f"state/{name}")
            continue
        kept = located.read(f"kept/{name}")
        state[name] = torch.zeros(masks[name].shape, dtype=kept.dtype)
        state[name].view(-1)[masks[name].view(-1)] = kept
    return masks, state
