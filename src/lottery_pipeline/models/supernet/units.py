"""The search units of a supernet: what a search may remove, and which slice of which tensor that is."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import nn

from lottery_pipeline.models.supernet.architecture import BlockWidths
from lottery_pipeline.models.supernet.block import SearchBlock
from lottery_pipeline.models.supernet.config import Supernet
from lottery_pipeline.models.supernet.layout import BlockLayout

_NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class UnitGroup:
    """Units side by side: the hidden channels of one kernel of one block, or the tokens of its attention.

    Attributes:
        name: of the module (``network.stages.s2.branch1.block1.groups.k5``).
        block: name of its searchable block.
        kernel: side of the depthwise filters; 0 for tokens.
        size: number of units.
        gamma: name of the batch-norm weight whose magnitudes are the importance of the units.
        axes: the axis along which units lie, by name of the parameter or buffer.
    """

    name: str
    block: str
    kernel: int
    size: int
    gamma: str
    axes: dict[str, int]


def find_units(model: nn.Module) -> list[UnitGroup]:
    """Return the groups of search units in the order of the network; none if it is not a supernet.

    Args:
        model: a ``Classifier``, on any device.
    """
    return [
        group for _, block in search_blocks(model) for group in _units_of(block.layout, decoder=block.decoder)
    ]


def plan_units(config: Supernet, blocks: Iterable[BlockLayout]) -> list[UnitGroup]:
    """Return what ``find_units`` would find in a network, from its layout alone.

    Args:
        config: of the supernet.
        blocks: what ``lay_out`` returned.
    """
    return [group for block in blocks for group in _units_of(block, decoder=config.attention.decoder)]


def describe_architecture(model: nn.Module) -> tuple[BlockWidths, ...]:
    """Return the widths of every searchable block, also of those that have vanished.

    Args:
        model: a ``Classifier``, on any device.
    """
    return tuple(block.layout.widths() for _, block in search_blocks(model))


def search_blocks(model: nn.Module) -> Iterator[tuple[str, SearchBlock]]:
    """Yield name and module of every searchable block, in the order of the network."""
    for name, module in model.named_modules():
        if isinstance(module, SearchBlock):
            yield name, module


def _units_of(block: BlockLayout, *, decoder: bool) -> Iterator[UnitGroup]:
    for kernel, width in block.hidden:
        name = f"{block.name}.groups.k{kernel}"
        norms = [f"{name}.{norm}.{part}" for norm in ("expand_norm", "depthwise_norm") for part in _NORM]
        axes = dict.fromkeys((f"{name}.expand.weight", f"{name}.depthwise.weight", *norms), 0)
        axes[f"{name}.project.weight"] = 1
        yield UnitGroup(name, block.name, kernel, width, f"{name}.depthwise_norm.weight", axes)
    if block.tokens:
        name = f"{block.name}.attention"
        axes = dict.fromkeys((f"{name}.project.weight", *(f"{name}.norm.{part}" for part in _NORM)), 0)
        if decoder:
            axes[f"{name}.queries"] = 0
        axes[f"{name}.reverse.weight"] = 1
        yield UnitGroup(name, block.name, 0, block.tokens, f"{name}.norm.weight", axes)
