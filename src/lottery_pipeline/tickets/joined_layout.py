"""Version 2 of a ticket's file: everything of one kind in one tensor, and masks near their entropy.

The tensors are ``masks`` (uint8: the codes of ``mask_coding``, one after another) and, for every type that
numbers have, ``kept/<type>`` (the surviving weights) and ``state/<type>`` (other parameters and buffers).
Each follows the names of the state dict in alphabetical order, and is left out if it is empty. Shapes and
types are those of the model, but 16-bit floats may stand in for wider ones: then ``halves`` in the header has
a letter for every name in that order, ``b`` (bfloat16), ``h`` (float16) or ``.`` (neither).
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from lottery_pipeline.sparsity.masks import Masks, count_prunable, take_kept
from lottery_pipeline.tickets.blueprint import Blueprint, check_entries
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.header import LayerHeader, TicketHeader
from lottery_pipeline.tickets.mask_coding import Bytes, decode_mask, encode_mask, longest_code
from lottery_pipeline.tickets.tensor_file import Entry, TensorFile

LETTERS = {torch.bfloat16: "b", torch.float16: "h"}
# Bits tie the size of a model to that of its file, codes do not. So a reader takes at most 80 MiB (a float32
# and a boolean per weight), or 5 KiB for every number in the file. A model of any size fits at 0.1 % density.
ALWAYS_ALLOWED = 2**24
WEIGHTS_PER_NUMBER = 2**10


def is_too_sparse(prunable: int, numbers: int) -> bool:
    """Whether a model is too large for so few numbers; then only version 1 can hold the ticket.

    Args:
        prunable: number of prunable weights, D.
        numbers: kept weights and elements of all other tensors.
    """
    return prunable > ALWAYS_ALLOWED + WEIGHTS_PER_NUMBER * numbers


def join_tensors(masks: Masks, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of a version-2 file, and its ``halves``, empty if there are none.

    Raises:
        TicketError: so few weights are kept that the file could not be read back.
    """
    parts: dict[str, list[Tensor]] = {}
    for name in sorted(state):
        numbers = take_kept(state[name], masks[name]) if name in masks else state[name].reshape(-1)
        parts.setdefault(_group(numbers.dtype, prunable=name in masks), []).append(numbers)
    tensors = {group: torch.cat(numbers) for group, numbers in parts.items() if any(map(len, numbers))}
    _check_size(count_prunable(masks), sum(map(len, tensors.values())))
    codes = bytearray().join(encode_mask(masks[name].reshape(-1).numpy()) for name in sorted(masks))
    if codes:
        tensors["masks"] = torch.frombuffer(codes, dtype=torch.uint8)
    halves = "".join(LETTERS.get(state[name].dtype, ".") for name in sorted(state))
    return tensors, halves if set(halves) != {"."} else ""


def locate_joined(file: TensorFile, header: TicketHeader, blueprint: Blueprint) -> TensorFile:
    """Check the tensors of a version-2 file and find those of the model in them; reads none.

    Raises:
        TicketError: they are not those of the model.
    """
    kept = {layer.name: layer.kept for layer in header.layers}
    groups: dict[str, list[tuple[str, torch.dtype, tuple[int, ...]]]] = {}
    for name, dtype in _find_dtypes(file.record["header"], blueprint).items():
        blueprint.check_dtype(name, dtype)
        shape = (kept[name],) if name in kept else blueprint.state[name][1]
        own = f"kept/{name}" if name in kept else f"state/{name}"
        groups.setdefault(_group(dtype, prunable=name in kept), []).append((own, dtype, shape))
    sizes = {group: sum(math.prod(shape) for *_, shape in rows) for group, rows in groups.items()}
    _check_size(header.prunable, sum(sizes.values()))
    longest = sum(longest_code(layer.size, layer.kept) for layer in header.layers)
    check_entries(file.entries, {group for group, size in {**sizes, "masks": longest}.items() if size})
    entries = {}
    for group, rows in groups.items():
        whole = file.entries.get(group, Entry(rows[0][1], (0,), 0, 0))
        if whole.dtype != rows[0][1] or whole.shape != (sizes[group],):
            raise TicketError(f"tensor {group} does not hold {sizes[group]} numbers of that type")
        position = whole.begin
        for own, dtype, shape in rows:
            end = position + math.prod(shape) * dtype.itemsize
            entries[own] = Entry(dtype, shape, position, end)
            position = end
    masks = file.entries.get("masks", Entry(torch.uint8, (0,), 0, 0))
    if masks.dtype != torch.uint8 or len(masks.shape) != 1:
        raise TicketError("its masks are not a sequence of bytes")
    return file.with_entries({**entries, "masks": masks})


def read_codes(located: TensorFile, layers: Sequence[LayerHeader]) -> Iterator[tuple[LayerHeader, Bytes]]:
    """Decode the masks one by one.

    Args:
        located: from ``locate_joined``.
        layers: in the order of their names.

    Yields:
        A layer and its mask, one bit per weight.

    Raises:
        TicketError: a code is wrong, or something follows the last.
    """
    masks = located.entries["masks"]
    position = masks.begin
    for layer in layers:
        end = min(position + longest_code(layer.size, layer.kept), masks.end)
        code = located.read_range(position, end).numpy()
        bits, used = decode_mask(code, size=layer.size, kept=layer.kept, name=layer.name)
        position += used
        yield layer, bits
    if position != masks.end:
        raise TicketError(f"its masks take {position - masks.begin} of {masks.end - masks.begin} bytes")


def _group(dtype: torch.dtype, *, prunable: bool) -> str:
    return f"{'kept' if prunable else 'state'}/{str(dtype).removeprefix('torch.')}"


def _check_size(prunable: int, numbers: int) -> None:
    if is_too_sparse(prunable, numbers):
        least = -((ALWAYS_ALLOWED - prunable) // WEIGHTS_PER_NUMBER)
        raise TicketError(
            f"a file of version 2 needs at least {least} numbers for {prunable} weights, but has {numbers}"
        )


def _find_dtypes(header: Mapping[str, object], blueprint: Blueprint) -> dict[str, torch.dtype]:
    """Return the type of every tensor of the state dict, in the order of the names."""
    names = sorted(blueprint.state)
    none = "." * len(names)
    halves = header.get("halves", none)
    if not isinstance(halves, str) or len(halves) != len(names) or ("halves" in header and halves == none):
        raise TicketError(f"its halves are not {len(names)} letters, one for every tensor of the model")
    types = {letter: dtype for dtype, letter in LETTERS.items()}
    found = {n: types.get(c, blueprint.state[n][0]) for n, c in zip(names, halves, strict=True)}
    if "".join(LETTERS.get(dtype, ".") for dtype in found.values()) != halves:
        raise TicketError("its halves are not letters of the model's types")
    return found
