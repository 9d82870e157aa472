"""The layout of a supernet: its searchable blocks, their places and their sizes. Imports no torch.

Whether a configuration and an architecture fit together is decided here, by arithmetic, before a network is
built; so is whether the network would be too large.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lottery_pipeline.models.names import ModelError, suggest
from lottery_pipeline.models.supernet.architecture import BlockWidths
from lottery_pipeline.models.supernet.config import (
    Supernet,
    attention_grid,
    branch_size,
    check_image_size,
)

MAX_PARAMETERS = 2**28

Kind = Literal["fuse", "branch", "head"]


@dataclass(frozen=True)
class BlockLayout:
    """One searchable block.

    Attributes:
        name: of the module, from the ``Classifier`` (``network.stages.s2.branch1.block1``).
        kind: ``fuse``: a path from a branch to itself or a neighbour; ``branch``; ``head``.
        channels_in: width of what it reads.
        channels_out: width of what it writes.
        stride: 1 or 2.
        size: height and width of the feature maps it writes, pixels.
        hidden: kernel and number of hidden channels of each group.
        tokens: of the attention path, 0 without one.
        grid: rows and columns of the attention grid.
    """

    name: str
    kind: Kind
    channels_in: int
    channels_out: int
    stride: int
    size: tuple[int, int]
    hidden: tuple[tuple[int, int], ...]
    tokens: int
    grid: tuple[int, int]

    @property
    def skip_groups(self) -> int | None:
        """Groups of the skip path's 1x1 convolution; None if the skip path is the identity."""
        if self.stride == 1 and self.channels_in == self.channels_out:
            return None
        return math.gcd(self.channels_in, self.channels_out)

    def widths(self) -> BlockWidths:
        """Return what an architecture says of this block."""
        return BlockWidths(block=self.name, hidden=self.hidden, tokens=self.tokens)


def lay_out(
    config: Supernet, image_size: tuple[int, int], architecture: Sequence[BlockWidths] = ()
) -> dict[str, BlockLayout]:
    """Return the searchable blocks of a supernet, or of what an architecture leaves of it.

    Args:
        config: of the supernet.
        image_size: height and width of the images, pixels.
        architecture: empty for the full supernet; else it must name every block.

    Returns:
        Blocks by name, in the order of the network.

    Raises:
        ModelError: the images are too small, or the architecture is not one of this supernet.
    """
    check_image_size(config, image_size)
    blocks = {block.name: block for block in (*_backbone(config, image_size), *_head(config, image_size))}
    return _shrink(blocks, architecture) if architecture else blocks


def check_architecture(config: Supernet, architecture: Sequence[BlockWidths]) -> None:
    """Check that an architecture is one of a supernet, whatever the images.

    Args:
        config: of the supernet.
        architecture: must name every searchable block.

    Raises:
        ModelError: it does not, or names one that is not there or is wider than the supernet's.
    """
    size = (config.stride, config.stride)  # the names and widths of blocks do not depend on it
    blocks = {block.name: block for block in (*_backbone(config, size), *_head(config, size))}
    _shrink(blocks, architecture)


def check_parameters(config: Supernet, blocks: Iterable[BlockLayout], outputs: int) -> None:
    """Check that a network is not too large, before any of it is built.

    Args:
        config: of the supernet.
        blocks: what ``lay_out`` returned.
        outputs: number of classes or joints.

    Raises:
        ModelError: it would have more than ``MAX_PARAMETERS`` parameters.
    """
    parameters = sum(map(_count_parameters, blocks)) + _count_fixed(config, outputs)
    if parameters > MAX_PARAMETERS:
        raise ModelError(
            f"this supernet would have {parameters} parameters, more than the {MAX_PARAMETERS} that are "
            f"allowed; choose fewer stages, narrower branches or a smaller expand_ratio"
        )


def fuse_sources(branches_in: int, branch: int) -> list[int]:
    """Return the branches that a fused branch is the sum of: itself and its neighbours.

    Args:
        branches_in: number of branches before the stage.
        branch: number of the branch, from 0; the first new one is made from the finest fused neighbour alone.
    """
    if branch >= branches_in:
        return [branch - 1]
    return [source for source in (branch - 1, branch, branch + 1) if 0 <= source < branches_in]


def _backbone(config: Supernet, image_size: tuple[int, int]) -> Iterator[BlockLayout]:
    widths: tuple[int, ...] = (config.stem_channels,)
    for number, stage in enumerate(config.stages, 1):
        place = f"network.stages.s{number}"
        for branch, width in enumerate(stage.channels):
            for source in fuse_sources(len(widths), branch):
                # A new branch reads a branch that is fused already.
                before = widths[source] if branch < len(widths) else stage.channels[source]
                name = f"{place}.fuse.from{source + 1}_to{branch + 1}"
                stride = 2 if source < branch else 1
                size = branch_size(config, image_size, max(source, branch))
                yield _block(config, name, "fuse", before, width, stride, size, branch)
        for branch, (width, blocks) in enumerate(zip(stage.channels, stage.blocks, strict=True)):
            size = branch_size(config, image_size, branch)
            for block in range(blocks):
                name = f"{place}.branch{branch + 1}.block{block + 1}"
                yield _block(config, name, "branch", width, width, 1, size, branch)
        widths = stage.channels


def _head(config: Supernet, image_size: tuple[int, int]) -> Iterator[BlockLayout]:
    channels = config.stages[-1].channels
    if config.head.task != "classification":
        size = branch_size(config, image_size, 0)
        yield _block(config, "network.head.transform", "head", sum(channels), config.head_width(), 1, size)
        return
    widened = config.head_channels()
    for branch, (before, after) in enumerate(zip(channels, widened, strict=True)):
        size = branch_size(config, image_size, branch)
        yield _block(config, f"network.head.widen{branch + 1}", "head", before, after, 1, size)
    for branch in range(1, len(channels)):
        name = f"network.head.from{branch}_to{branch + 1}"
        size = branch_size(config, image_size, branch)
        yield _block(config, name, "head", widened[branch - 1], widened[branch], 2, size)


def _block(
    config: Supernet,
    name: str,
    kind: Kind,
    channels_in: int,
    channels_out: int,
    stride: int,
    size: tuple[int, int],
    branch: int | None = None,
) -> BlockLayout:
    hidden = max(1, round(config.expand_ratio * channels_in))
    attention = config.attention
    attends = (
        attention.enabled
        and branch is not None
        and (stride, channels_in) == (1, channels_out)
        and (attention.branches == "all" or branch + 1 in attention.branches)
    )
    return BlockLayout(
        name=name,
        kind=kind,
        channels_in=channels_in,
        channels_out=channels_out,
        stride=stride,
        size=size,
        hidden=tuple((kernel, hidden) for kernel in config.kernel_sizes),
        tokens=attention.tokens if attends else 0,
        grid=attention_grid(config, size),
    )


def _shrink(blocks: dict[str, BlockLayout], architecture: Sequence[BlockWidths]) -> dict[str, BlockLayout]:
    smaller: dict[str, BlockLayout] = {}
    for widths in architecture:
        name = widths.block
        if name not in blocks:
            raise ModelError(
                f"{name!a} is not a searchable block of this supernet{suggest(name, tuple(blocks))}"
            )
        if name in smaller:
            raise ModelError(f"the architecture names the block {name} twice")
        full = dict(blocks[name].hidden)
        for kernel, width in widths.hidden:
            if kernel not in full:
                raise ModelError(
                    f"{name} has no kernel {kernel}; its kernels are {', '.join(map(str, full))}"
                )
            if width > full[kernel]:
                raise ModelError(
                    f"{name} has {full[kernel]} hidden channels of kernel {kernel} in the supernet, so it "
                    f"cannot have {width}"
                )
        if widths.tokens > blocks[name].tokens:
            raise ModelError(
                f"{name} has {blocks[name].tokens} tokens in the supernet, so it cannot have {widths.tokens}"
            )
        smaller[name] = replace(blocks[name], hidden=widths.hidden, tokens=widths.tokens)
    missing = [name for name in blocks if name not in smaller]
    if missing:
        raise ModelError(
            f"the architecture must name every searchable block; {missing[0]} is missing "
            f"({len(missing)} in all)"
        )
    return {name: smaller[name] for name in blocks}


def _count_parameters(block: BlockLayout) -> int:
    """Return an upper bound; batch-norm statistics count too."""
    before, after = block.channels_in, block.channels_out
    total = sum(width * (before + after + kernel**2 + 8) for kernel, width in block.hidden) + 4 * after
    if block.skip_groups is not None:
        total += before * after // block.skip_groups
    if block.tokens:
        width = block.grid[0] * block.grid[1]
        total += 12 * width**2 + 8 * width + block.tokens * (before + 2 + after + 4 + width) + 4 * after
    return total


def _count_fixed(config: Supernet, outputs: int) -> int:
    """Return an upper bound of what is not searchable: stem, classifier head, last layer."""
    stem = 9 * config.stem_channels * (16 + config.stem_channels) + 8 * config.stem_channels
    before = config.head_channels()[-1] if config.head.task == "classification" else 0
    return stem + (before + 4 + outputs) * config.head_width() + outputs
