"""Scheme V2 of arXiv 2111.00162: a QR symbol in the zero pattern of one layer, as published.

A convolution's mask [output channels, input channels, height, width] is squeezed to cells: a cell is on if
its kernel keeps any weight. Rows of the symbol are output channels, columns are input channels.

The scheme is here to be compared with. Whoever permutes channels, trains the zeros or prunes some more
removes the symbol. A text in a mask has no date and no key either. So the position that the search finds must
be committed before the model is released: the more places may be chosen later, the better the best one fits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.signal import correlate
from torch import Tensor

from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.qr_code import PASTED_BACK, SIDE, Symbol, check_modules, read_symbol
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.sparsity.masks import Masks


@dataclass(frozen=True)
class Position:
    """Where a symbol is: a layer's parameter name, and the first output and input channel of the window."""

    layer: str
    row: int
    column: int


@dataclass(frozen=True)
class Signed:
    """Masks with a symbol in them.

    Attributes:
        masks: all masks; only the layer of the position differs from the masks given.
        position: of the symbol; commit it before the model is released.
        similarity: share of the 841 modules that agreed before the edit. It is the best of many windows, so
            it is no evidence.
        switched_on: cells that were off.
        switched_off: cells that were on.
    """

    masks: Masks
    position: Position
    similarity: float
    switched_on: int
    switched_off: int


@dataclass(frozen=True)
class Extracted:
    """What was read at a position.

    Attributes:
        modules: [29, 29], True = light, with what the verifier pasted.
        text: that the modules decode to; None if they do not.
        read: modules that come from the model: 841, or 551 if the others were pasted.
        matched: how many of those agree with the expected symbol; None without one. Pasted modules agree by
            construction, so they are no evidence and never counted.
    """

    modules: Symbol
    text: str | None
    read: int
    matched: int | None


def embed_symbol(
    masks: Mapping[str, Tensor],
    symbol: Symbol,
    *,
    seed: int,
    layers: Sequence[str] | None = None,
    disguise: bool = False,
) -> Signed:
    """Edit the most similar window of the masks until its cells are the symbol; kept counts do not change.

    Where the symbol is light and the cell off, one random weight of the kernel is switched on. Where it is
    dark and the cell on, the whole kernel is switched off. If the layer then keeps too few weights, random
    ones are added in kernels of the window that were on and stay on; if too many, random ones are removed
    from any kernel that keeps another. (The authors' code adds, but never removes.) The ticket must be
    trained again afterwards.

    Args:
        masks: of the ticket, by parameter name, on the CPU.
        symbol: of ``make_symbol``.
        seed: of the random choices.
        layers: to search, by parameter name; all that ``list_carriers`` returns by default.
        disguise: keep the original cells at ``PASTED_BACK``, so that nothing looks like a QR code.

    Raises:
        OwnershipError: a layer is unknown or too small, no layer is large enough, or the layer of the best
            window keeps too few or too many weights to hold the symbol.
    """
    check_modules(symbol)
    symbol = np.ascontiguousarray(symbol)  # torch reads no flipped views
    names = list_carriers(masks) if layers is None else list(layers)
    if not names:
        raise OwnershipError(f"no layer has {SIDE} x {SIDE} kernels of several weights to hold a QR code")
    position, similarity = _find_window({name: _squeeze(masks, name) for name in names}, symbol)
    mask = masks[position.layer].clone(memory_format=torch.contiguous_format)
    if mask.dtype != torch.bool:
        raise OwnershipError(f"the mask of {position.layer} has dtype {mask.dtype}, but must be torch.bool")
    rows, columns = mask.shape[:2]
    kernels = mask.reshape(rows, columns, -1)  # a view of the copy
    editable = torch.zeros(rows, columns, dtype=torch.bool)
    window = _window(position)
    editable[window] = torch.from_numpy(~PASTED_BACK) if disguise else True
    light = torch.zeros(rows, columns, dtype=torch.bool)
    light[window] = torch.from_numpy(symbol)
    before, kept = kernels.any(2), int(kernels.count_nonzero())
    off, on = editable & before & ~light, editable & ~before & light
    generator = make_generator(seed, "qr", position.layer)
    kernels[off] = False
    chosen = torch.randint(kernels.shape[2], (int(on.count_nonzero()),), generator=generator)
    kernels[on] = torch.nn.functional.one_hot(chosen, kernels.shape[2]).bool()
    _restore_count(kernels, kept, editable & before & light, position.layer, generator)
    return Signed(
        {name: mask if name == position.layer else other.clone() for name, other in masks.items()},
        position,
        similarity,
        int(on.count_nonzero()),
        int(off.count_nonzero()),
    )


def list_carriers(masks: Mapping[str, Tensor]) -> list[str]:
    """Return the layers that can hold a symbol, in order.

    They are convolutions of at least 29 channels on both sides. Kernels of one weight (shortcuts) are left
    out: nothing could be added to them to keep the count.
    """
    return [
        name
        for name, mask in masks.items()
        if mask.dim() == 4 and min(mask.shape[:2]) >= SIDE and mask.shape[2:].numel() > 1
    ]


def extract_symbol(
    tensors: Mapping[str, Tensor],
    position: Position,
    *,
    paste_back: bool = False,
    expected: Symbol | None = None,
) -> Extracted:
    """Read the symbol at a position.

    Args:
        tensors: masks, or the weights of a suspect, whose exact zeros are taken for pruned.
        position: that the owner committed.
        paste_back: as the published verifier, set the 290 modules of ``PASTED_BACK`` to those of the expected
            symbol first, which hands it 16 modules of data. Decoding does not need it: ``read_symbol``
            restores the function patterns itself.
        expected: the owner's symbol, to count matches with.

    Raises:
        OwnershipError: the tensors have no such window, or there is nothing to paste.
    """
    cells = _squeeze(tensors, position.layer)
    rows, columns = cells.shape
    if not (0 <= position.row <= rows - SIDE and 0 <= position.column <= columns - SIDE):
        raise OwnershipError(
            f"{position.layer} has {rows} x {columns} kernels, so no window of {SIDE} x {SIDE} starts at "
            f"({position.row}, {position.column})"
        )
    modules = cells[_window(position)].numpy().copy()
    if expected is not None:
        check_modules(expected)
    elif paste_back:
        raise OwnershipError("pasting back needs the expected symbol, from which the modules are taken")
    own = np.full((SIDE, SIDE), True)
    if expected is not None and paste_back:
        own = ~PASTED_BACK
        modules[PASTED_BACK] = expected[PASTED_BACK]
    matched = None if expected is None else int((modules == expected)[own].sum())
    return Extracted(modules, read_symbol(modules), int(own.sum()), matched)


def _squeeze(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    """Return the cells [output channels, input channels] of a layer."""
    tensor = tensors.get(name)
    if tensor is None:
        raise OwnershipError(f"there is no layer {name!a} to hold a QR code")
    if tensor.dim() != 4 or min(tensor.shape[:2]) < SIDE:
        raise OwnershipError(
            f"{name} has the shape {tuple(tensor.shape)}, but a QR code needs {SIDE} x {SIDE} kernels"
        )
    return (tensor.detach().cpu() != 0).flatten(2).any(2)


def _window(position: Position) -> tuple[slice, slice]:
    return slice(position.row, position.row + SIDE), slice(position.column, position.column + SIDE)


def _find_window(cells: Mapping[str, Tensor], symbol: Symbol) -> tuple[Position, float]:
    """Return the window with most equal modules; ties go to the first by layer, row and column."""
    signs = symbol * 2.0 - 1.0
    found = []
    for name, layer in cells.items():
        # Light cells that are on, less dark ones that are on; the transform is off by far less than 1/2.
        equal = np.rint(correlate(layer.numpy().astype(np.float64), signs, mode="valid", method="fft"))
        place = int(equal.argmax())
        found.append((float(equal.flat[place]), Position(name, *divmod(place, equal.shape[1]))))
    most, position = max(found, key=lambda pair: pair[0])
    return position, (most + int((~symbol).sum())) / SIDE**2


def _restore_count(kernels: Tensor, kept: int, roomy: Tensor, layer: str, generator: torch.Generator) -> None:
    """Add or remove random weights of kernels [rows, columns, weights] until ``kept`` are kept."""
    excess = int(kernels.count_nonzero()) - kept
    if excess <= 0:
        free = (~kernels & roomy[:, :, None]).reshape(-1).nonzero().squeeze(1)
        if len(free) < -excess:
            raise OwnershipError(
                f"{layer} keeps too many weights: the QR code switches off {-excess} more than it adds, but "
                f"the cells that stay on have room for {len(free)}"
            )
        kernels.view(-1)[free[torch.randperm(len(free), generator=generator)[:-excess]]] = True
        return
    # The first kept weight of each cell in a random order stays, so no cell is emptied.
    order = torch.rand(kernels.shape, generator=generator).masked_fill(~kernels, -1.0)
    stays = torch.zeros_like(kernels).scatter_(2, order.argmax(2, keepdim=True), value=True)
    spare = (kernels & ~stays).reshape(-1).nonzero().squeeze(1)
    if len(spare) < excess:
        raise OwnershipError(
            f"{layer} keeps too few weights: the QR code adds {excess} more than it switches off, but only "
            f"{len(spare)} can be removed without emptying a cell"
        )
    kernels.view(-1)[spare[torch.randperm(len(spare), generator=generator)[:excess]]] = False
