"""The configuration of a supernet: all that its full network is built from, save images and classes.

Imports no torch. Every number is bounded, because a configuration may come from a file that somebody sent.
"""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from lottery_pipeline.models.names import ModelError
from lottery_pipeline.options.lists import Group
from lottery_pipeline.options.task import TaskName

Blocks = Annotated[int, Field(ge=1, le=16)]
Channels = Annotated[int, Field(ge=1, le=2048)]
Branch = Annotated[int, Field(ge=1, le=8)]
Kernel = Annotated[int, Field(ge=1, le=15)]
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]

MAX_BLOCKS = 200


class Stage(Group):
    """One stage: its branches are fused with their neighbours, then each is a chain of searchable blocks.

    Attributes:
        blocks: number of searchable blocks of each branch, finest branch first.
        channels: width of each branch; it is never searched.
    """

    blocks: Annotated[tuple[Blocks, ...], Field(min_length=1, max_length=8)]
    channels: Annotated[tuple[Channels, ...], Field(min_length=1, max_length=8)]

    @model_validator(mode="after")
    def _both_lists_have_one_entry_per_branch(self) -> Self:
        if len(self.blocks) != len(self.channels):
            raise ValueError(
                f"blocks and channels of a stage need one entry for each branch, "
                f"got {len(self.blocks)} and {len(self.channels)}"
            )
        return self


class Attention(Group):
    """The attention path beside the skip path of blocks of stride 1 and equal widths.

    Attributes:
        enabled: whether there are any attention paths.
        tokens: of each path; one token is one map over the grid.
        grid: side of the grid to which feature maps are resized, at most the side of the feature map.
        heads: of each attention; they share the numbers of a token, one for each cell of the grid.
        dropout: probability, in training.
        branches: numbers of the branches that have attention, from 1, the finest; or all.
        coordinates: whether two maps of x and y stand beside the features.
        decoder: whether learned queries read the encoded tokens.
    """

    enabled: bool = True
    tokens: Annotated[int, Field(ge=1, le=256)] = 64
    grid: Annotated[int, Field(ge=1, le=16)] = 8
    heads: Annotated[int, Field(ge=1, le=16)] = 1
    dropout: Probability = 0.1
    branches: Literal["all"] | Annotated[tuple[Branch, ...], Field(max_length=8)] = "all"
    coordinates: bool = True
    decoder: bool = True


class Head(Group):
    """What turns the branches into outputs.

    Attributes:
        task: ``classification`` gives one vector for an image; ``segmentation`` and ``keypoints`` give a map
            of the finest branch's size for each class or joint.
        channels: classification only: the width to which each branch is widened; None: twice its own.
        width: classification: of the 1x1 convolution before pooling; None: four times the coarsest branch.
            Else: of the searchable block that reads all branches; None: a third of their channels together.
        dropout: probability, before the last layer, in training; classification only.
    """

    task: TaskName = "classification"
    channels: Annotated[tuple[Channels, ...], Field(min_length=1, max_length=8)] | None = None
    width: Annotated[int, Field(ge=1, le=8192)] | None = None
    dropout: Probability = 0.0

    @model_validator(mode="after")
    def _only_a_classifier_widens_branches(self) -> Self:
        if self.task != "classification" and (self.channels is not None or self.dropout):
            raise ValueError(f"head.channels and head.dropout are for classification, not for {self.task}")
        return self


class Supernet(Group):
    """The full network: everything that a search can remove is there.

    Attributes:
        input_stride: of the stem. 1: one 3x3 convolution of stride 1; 2: one of stride 2; 4: two of stride 2.
        stem_channels: width of the stem.
        stages: in order; from one to the next the number of branches grows by at most 1.
        kernel_sizes: of the groups of every searchable block, ascending and odd.
        expand_ratio: hidden channels of a group for each channel that enters its block.
        attention: the attention paths.
        head: what turns the branches into outputs.
        bn_momentum: of every batch norm.
        bn_eps: of every batch norm.
        recompute: whether the activations inside a group are computed again in the backward pass instead of
            being stored: less memory, more time, equal results.
    """

    input_stride: Literal[1, 2, 4]
    stem_channels: Channels
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=16)]
    kernel_sizes: Annotated[tuple[Kernel, ...], Field(min_length=1, max_length=4)] = (3, 5, 7)
    expand_ratio: Annotated[float, Field(gt=0.0, le=16.0)] = 4.0
    attention: Attention = Attention()
    head: Head = Head()
    bn_momentum: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    bn_eps: Annotated[float, Field(ge=1e-8, le=0.1)] = 1e-5
    recompute: bool = False

    @field_validator("kernel_sizes")
    @classmethod
    def _kernels_are_odd_and_ascending(cls, kernels: tuple[int, ...]) -> tuple[int, ...]:
        if any(kernel % 2 == 0 for kernel in kernels) or list(kernels) != sorted(set(kernels)):
            raise ValueError(f"kernel_sizes must be odd and ascending, such as 3, 5, 7; got {list(kernels)}")
        return kernels

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        branches = [1, *(len(stage.channels) for stage in self.stages)]
        for number, (before, after) in enumerate(pairwise(branches), 1):
            if not before <= after <= before + 1:
                raise ValueError(
                    f"stage {number} has {after} branches, but must have {before} or {before + 1}: "
                    f"from one stage to the next their number grows by at most 1"
                )
        last = branches[-1]
        if self.head.channels is not None and len(self.head.channels) != last:
            raise ValueError(
                f"head.channels needs one entry for each of the {last} branches, "
                f"got {len(self.head.channels)}"
            )
        wanted = self.attention.branches
        if wanted != "all" and (max(wanted, default=1) > last or list(wanted) != sorted(set(wanted))):
            raise ValueError(
                f"attention.branches must be ascending numbers from 1 to {last}, got {list(wanted)}"
            )
        if (count := self.count_blocks()) > MAX_BLOCKS:
            raise ValueError(f"a supernet has at most {MAX_BLOCKS} searchable blocks, this one has {count}")
        return self

    @property
    def branches(self) -> int:
        """Number of branches of the last stage."""
        return len(self.stages[-1].channels)

    @property
    def stride(self) -> int:
        """Pixels of an image, in each direction, for one pixel of the coarsest branch."""
        return int(self.input_stride * 2 ** (self.branches - 1))

    def count_blocks(self) -> int:
        """Return an upper bound of the number of searchable blocks, from the lengths of the lists alone."""
        return sum(3 * len(stage.blocks) + sum(stage.blocks) for stage in self.stages) + 2 * self.branches

    def head_channels(self) -> tuple[int, ...]:
        """Return the widths to which a classifier widens the branches."""
        return self.head.channels or tuple(2 * width for width in self.stages[-1].channels)

    def head_width(self) -> int:
        """Return the width before the last layer."""
        channels = self.stages[-1].channels
        if self.head.width is not None:
            return self.head.width
        if self.head.task == "classification":
            return 4 * channels[-1]
        return max(1, round(sum(channels) / 3))

    def for_task(self, task: TaskName) -> Self:
        """Return the same backbone with a head of default widths for a task, or this one if it fits."""
        return self if self.head.task == task else self.model_copy(update={"head": Head(task=task)})


def check_image_size(config: Supernet, image_size: tuple[int, int]) -> None:
    """Check that images are large enough for every branch, and that heads divide the tokens.

    Args:
        config: of the supernet.
        image_size: height and width, pixels.

    Raises:
        ModelError: the coarsest branch would have less than one pixel, or attention.heads does not divide the
            number of cells of some grid.
    """
    height, width = image_size
    if min(image_size) < config.stride:
        raise ModelError(
            f"this supernet needs images of at least {config.stride}x{config.stride} pixels, these are "
            f"{height}x{width}; raise data.image_size, or choose fewer branches or a smaller input_stride"
        )
    if not config.attention.enabled:
        return
    for branch in range(config.branches):
        rows, columns = attention_grid(config, branch_size(config, image_size, branch))
        if rows * columns % config.attention.heads:
            raise ModelError(
                f"attention.heads is {config.attention.heads}, which does not divide the {rows * columns} "
                f"cells of the {rows}x{columns} grid of branch {branch + 1}"
            )


def branch_size(config: Supernet, image_size: tuple[int, int], branch: int) -> tuple[int, int]:
    """Return height and width of a branch's feature maps; branch 0 is the finest."""
    stride = config.input_stride * 2**branch
    return -(-image_size[0] // stride), -(-image_size[1] // stride)


def attention_grid(config: Supernet, size: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of the attention grid for feature maps of a size."""
    return min(config.attention.grid, size[0]), min(config.attention.grid, size[1])
