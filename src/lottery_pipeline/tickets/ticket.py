"""The ticket: masks and start weights of one model in one file, with provenance; safe to open from anyone.

File, format version 1: a safetensors file with one metadata key whose value is JSON (``TicketHeader`` and a
SHA-256 over it and all tensors), and the tensors ``mask/<name>`` (uint8, one bit per weight in C order, most
significant bit first, spare bits 0), ``kept/<name>`` (the surviving weights in C order) and ``state/<name>``
(every other parameter and buffer).
"""

from collections.abc import Mapping
from dataclasses import dataclass
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
from lottery_pipeline.tickets.blueprint import Blueprint, check_entries, check_values, draw_blueprint
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

    def to_bytes(self) -> bytes:
        """Return the content of the ticket's file; equal tickets give equal bytes."""
        return tensor_file_bytes(
            _pack(self.masks, self.state), self.header.model_dump(mode="json"), key=TICKET_KEY
        )

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
            _check_layout(file, header, blueprint)
            if header.fingerprint != identify(header.model_dump(mode="json"), file.check_content()):
                raise TicketError("its fingerprint does not agree with its content")
            _check_tensors(file, header, blueprint)
            masks, state = _unpack(file, header, blueprint)
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
        LayerHeader(name=name, shape=tuple(mask.shape), kept=int(mask.sum()))
        for name, mask in own_masks.items()
    ]
    header = TicketHeader(
        kind=kind,
        method=method,
        spec=spec,
        seed=seed,
        density=kept / prunable,
        kept=kept,
        prunable=prunable,
        rewind_step=rewind_step,
        fingerprint="0" * 64,
        parents=dict(parents),
        versions=library_versions(),
        layers=tuple(layers),
        metrics=dict(metrics or {}),
    )
    own = identify(header.model_dump(mode="json"), fingerprint_tensors(_pack(own_masks, copies)))
    return Ticket(header.model_copy(update={"fingerprint": own}), own_masks, copies, allow_factory)


def _pack(masks: Masks, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    tensors = {f"state/{name}": tensor for name, tensor in state.items() if name not in masks}
    for name, mask in masks.items():
        tensors[f"mask/{name}"] = torch.from_numpy(np.packbits(mask.reshape(-1).numpy()))
        tensors[f"kept/{name}"] = state[name][mask]
    return tensors


def _check_layout(file: TensorFile, header: TicketHeader, blueprint: Blueprint) -> None:
    if [(layer.name, layer.shape) for layer in header.layers] != list(blueprint.prunable.items()):
        raise TicketError("its layers are not those of its model")
    others = [name for name in blueprint.state if name not in blueprint.prunable]
    wanted = {f"state/{name}" for name in others}
    wanted |= {f"{part}/{layer.name}" for layer in header.layers for part in ("mask", "kept")}
    check_entries(file.entries, wanted)
    for name in others:
        entry = file.entries[f"state/{name}"]
        blueprint.check_state(name, entry.dtype, entry.shape)
    for layer in header.layers:
        mask, kept = file.entries[f"mask/{layer.name}"], file.entries[f"kept/{layer.name}"]
        if mask.dtype != torch.uint8 or mask.shape != ((layer.size + 7) // 8,):
            raise TicketError(f"the mask of {layer.name} is not {(layer.size + 7) // 8} bytes long")
        if kept.shape != (layer.kept,):
            raise TicketError(f"{layer.name} does not have {layer.kept} kept weights")
        blueprint.check_dtype(layer.name, kept.dtype)


def _check_tensors(file: TensorFile, header: TicketHeader, blueprint: Blueprint) -> None:
    """Check every bit and value, piece by piece; memory is taken only afterwards."""
    for layer in header.layers:
        kept = 0
        for chunk in file.chunks(f"mask/{layer.name}"):
            kept += int(np.bitwise_count(chunk.numpy()).sum(dtype=np.int64))
        if kept != layer.kept:
            raise TicketError(f"the mask of {layer.name} does not have {layer.kept} bits set")
        if int(chunk[-1]) & ((1 << -layer.size % 8) - 1):
            raise TicketError(f"the mask of {layer.name} has bits set beyond its end")
    for name in blueprint.state:
        for chunk in file.chunks(f"kept/{name}" if name in blueprint.prunable else f"state/{name}"):
            check_values(name, chunk)


def _unpack(file: TensorFile, header: TicketHeader, blueprint: Blueprint) -> tuple[Masks, dict[str, Tensor]]:
    masks: Masks = {}
    for layer in header.layers:
        bits = np.unpackbits(file.read(f"mask/{layer.name}").numpy(), count=layer.size)
        masks[layer.name] = torch.from_numpy(bits).view(torch.bool).reshape(layer.shape)
    state: dict[str, Tensor] = {}
    for name in blueprint.state:
        if name not in masks:
            state[name] = file.read(f"state/{name}")
            continue
        kept = file.read(f"kept/{name}")
        state[name] = torch.zeros(masks[name].shape, dtype=kept.dtype)
        state[name][masks[name]] = kept
    return masks, state
