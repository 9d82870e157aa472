"""A suspect: somebody else's network, from a file that nobody vouches for.

It may be a ticket, or plain weights of the same architecture in safetensors: dense, of another precision,
with permuted, rescaled, added or missing channels, without some residual blocks, with batch norms folded,
with other prefixes in its names, or with a tied tensor under another one of its names.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lottery_pipeline.models.blocks import list_blocks
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.ties import find_ties
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.tensor_file import Entry, TensorFile, open_tensor_file
from lottery_pipeline.tickets.ticket import TICKET_KEY, Ticket, read_header

# A network that was padded with many dummy channels costs a verifier time and memory.
_LARGEST_GROWTH = 4
_PREFIXES = re.compile(r"^((module|model|network|_orig_mod|state_dict)\.)+")


@dataclass(frozen=True, eq=False)
class Suspect:
    """What was found in a suspect's file.

    Attributes:
        sha256: of the file.
        weights: by the owner's parameter names; those of other shapes differ in their numbers of channels.
        missing: the owner's prunable weights that it lacks.
        model: the network, ready to classify, if all its tensors fit the owner's architecture.
    """

    sha256: str
    weights: dict[str, Tensor]
    missing: tuple[str, ...]
    model: nn.Module | None


def read_suspect(path: str | Path, reference: Ticket) -> Suspect:
    """Read a suspect's file, trusting nothing in it.

    Args:
        path: a ticket, a trained ticket, or a state dict in safetensors.
        reference: the owner's ticket, whose parameters are looked for. A suspect that names a model of its
            own is built only if that is the owner's.

    Raises:
        OwnershipError: the file cannot be read, holds values that are not finite, or is another architecture.
    """
    path = Path(path)
    try:
        state = _read_ticket(path, reference) if _is_ticket(path) else _read_weights(path, reference)
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    except TicketError as error:
        raise OwnershipError(f"the suspect cannot be read: {error}") from error
    except OSError as error:
        raise OwnershipError(f"the suspect {path} cannot be read ({error.strerror or error})") from error
    return gather_suspect(state, reference, sha256=sha256, name=str(path))


def gather_suspect(
    state: Mapping[str, Tensor], reference: Ticket, *, sha256: str = "", name: str = "the suspect"
) -> Suspect:
    """Find the owner's parameters in a state dict.

    Args:
        state: tensors by the suspect's names, with or without prefixes such as ``module.``.
        reference: the owner's ticket.
        sha256: of the file, if there is one.
        name: for errors.

    Raises:
        OwnershipError: a layer is missing that is not part of a removed residual block, or one has another
            kind of shape or values that are not finite.
    """
    known = _list_names(reference)
    named = [(known.get(_PREFIXES.sub("", their)), tensor) for their, tensor in state.items()]
    found = {own: tensor for own, tensor in named if own is not None}
    weights = {own: found[own] for own in reference.masks if own in found}
    missing = tuple(own for own in reference.masks if own not in weights)
    broken = _outside_removable_blocks(missing, reference)
    if broken:
        raise OwnershipError(
            f"{name} has {len(weights)} of the {len(reference.masks)} layers of the owner's "
            f"{reference.header.spec.name} and lacks {broken[0]}; another architecture cannot be read, and "
            "other names must be changed to the owner's first"
        )
    for own, weight in weights.items():
        _check_shape(own, tuple(weight.shape), tuple(reference.masks[own].shape), name)
    weights = {own: weight.float() for own, weight in weights.items()}
    for own, weight in weights.items():
        if not bool(torch.isfinite(weight).all()):
            raise OwnershipError(f"{own} of {name} holds a value that is not finite")
    return Suspect(sha256, weights, missing, _build(found, reference))


def _outside_removable_blocks(missing: tuple[str, ...], reference: Ticket) -> list[str]:
    """Return which missing layers are not those of a whole residual block that a network can do without."""
    if not missing:
        return []
    blocks = [block.name + "." for block in list_blocks(reference.build()) if block.removable]
    gone = [
        block for block in blocks if all(own in missing for own in reference.masks if own.startswith(block))
    ]
    return [own for own in missing if not own.startswith(tuple(gone))]


def _is_ticket(path: Path) -> bool:
    with open_tensor_file(path, key=None) as file:
        return TICKET_KEY in file.metadata


def _read_ticket(path: Path, reference: Ticket) -> dict[str, Tensor]:
    spec = read_header(path).spec
    trusted = spec.name if spec.name == reference.header.spec.name else None
    return Ticket.load(path, allow_factory=trusted and reference.allow_factory).state


def _read_weights(path: Path, reference: Ticket) -> dict[str, Tensor]:
    """Read only tensors that have a name and a size the owner's network could have."""
    known = _list_names(reference)
    with open_tensor_file(path, key=None) as file:
        wanted = {
            name: entry
            for name, entry in file.entries.items()
            if (own := known.get(_PREFIXES.sub("", name))) and _may_fit(entry, reference.state[own])
        }
        return _read_all(file, wanted)


def _list_names(reference: Ticket) -> dict[str, str]:
    """Return the owner's name of each tensor by all its names, without prefixes; a tied one has several."""
    names = {name: name for name in reference.state}
    further = {name: own for name, own in find_ties(reference.build()).items() if own in names}
    return {_PREFIXES.sub("", name): own for name, own in (names | further).items()}


def _read_all(file: TensorFile, entries: Mapping[str, Entry]) -> dict[str, Tensor]:
    return {name: file.read(name) for name in entries}


def _may_fit(entry: Entry, own: Tensor) -> bool:
    size = entry.end - entry.begin
    return size <= 8 * _LARGEST_GROWTH**2 * max(own.numel(), 1)  # 8: bytes of the widest number


def _check_shape(own: str, shape: tuple[int, ...], wanted: tuple[int, ...], name: str) -> None:
    same_kind = len(shape) == len(wanted) and shape[2:] == wanted[2:] and min(shape) > 0
    if not same_kind or any(has > _LARGEST_GROWTH * had for has, had in zip(shape, wanted, strict=True)):
        raise OwnershipError(
            f"{own} of {name} has the shape {list(shape)}, but the owner's is {list(wanted)}; only the "
            f"numbers of channels may differ, up to {_LARGEST_GROWTH} times"
        )


def _build(found: Mapping[str, Tensor], reference: Ticket) -> nn.Module | None:
    """Build the network if every tensor has its place."""
    if any(name not in found or found[name].shape != own.shape for name, own in reference.state.items()):
        return None
    model = build_model(reference.header.spec, seed=0, allow_factory=reference.allow_factory)
    model.load_state_dict({name: found[name].to(own.dtype) for name, own in reference.state.items()})
    return model.eval()
