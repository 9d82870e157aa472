"""Where the tensors of a ticket are in its file, and what of them its fingerprint covers.

Version 1 of the format has for every prunable weight ``mask/<name>`` (uint8, one bit per weight in C order,
most significant bit first, spare bits 0) and ``kept/<name>`` (the surviving weights in C order), and
``state/<name>`` for every other parameter and buffer. A fingerprint covers these tensors, whatever the
version of the file, so a ticket has the same one in both. Version 2 is in ``joined_layout``.
"""

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from lottery_pipeline.sparsity.masks import Masks, take_kept
from lottery_pipeline.tickets.blueprint import Blueprint, check_entries
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.header import LayerHeader, TicketHeader
from lottery_pipeline.tickets.joined_layout import locate_joined, read_codes
from lottery_pipeline.tickets.mask_coding import Bytes, check_bits
from lottery_pipeline.tickets.tensor_file import TensorFile


def separate_tensors(masks: Masks, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a version-1 file, which are those that a fingerprint covers."""
    tensors = {f"state/{name}": tensor for name, tensor in state.items() if name not in masks}
    for name, mask in masks.items():
        tensors[f"mask/{name}"] = torch.from_numpy(np.packbits(mask.reshape(-1).numpy()))
        tensors[f"kept/{name}"] = take_kept(state[name], mask)
    return tensors


def locate_tensors(file: TensorFile, header: TicketHeader, blueprint: Blueprint) -> TensorFile:
    """Check that the tensors of a file are those of the model, before any of them is read.

    Returns:
        The same file with an entry ``kept/<name>`` or ``state/<name>`` for every tensor of the state dict,
        and with the masks as they are stored.

    Raises:
        TicketError: they are not.
    """
    if [(layer.name, layer.shape) for layer in header.layers] != list(blueprint.prunable.items()):
        raise TicketError("its layers are not those of its model")
    if header.format_version == 1:
        _check_separate(file, header, blueprint)
        return file
    return locate_joined(file, header, blueprint)


def read_masks(located: TensorFile, header: TicketHeader) -> Iterator[tuple[LayerHeader, Bytes]]:
    """Read the masks one by one, in the order of their names.

    Args:
        located: from ``locate_tensors``.
        header: of the file.

    Yields:
        A layer and its mask, one bit per weight.

    Raises:
        TicketError: a mask is not one of its layer.
    """
    layers = sorted(header.layers, key=lambda layer: layer.name)
    if header.format_version == 2:
        yield from read_codes(located, layers)
        return
    for layer in layers:
        bits = located.read(f"mask/{layer.name}").numpy()
        check_bits(bits, size=layer.size, kept=layer.kept, name=layer.name)
        yield layer, bits


def fingerprint_located(located: TensorFile, header: TicketHeader) -> str:
    """Return the ``fingerprint_tensors`` of ``separate_tensors``, a mask or a piece of a tensor at a time."""
    digest = hashlib.sha256()
    for name in sorted(name for name in located.entries if name.startswith("kept/")):
        located.add_to(digest, name)
    for layer, bits in read_masks(located, header):
        digest.update(f"mask/{layer.name}|{torch.uint8}|({len(bits)},)|".encode())
        digest.update(bits.data)
    for name in sorted(name for name in located.entries if name.startswith("state/")):
        located.add_to(digest, name)
    return digest.hexdigest()


def _check_separate(file: TensorFile, header: TicketHeader, blueprint: Blueprint) -> None:
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
