"""Residual blocks: which ones a network has, and which can be removed without changing a shape.

The rule follows the code of Jordao's group (later papers), not the prose of arXiv 2301.10835: a block is a
candidate if its output has the shape of the previous block's output. So the first block of every stage is
excluded: in later stages it has a projection, and in the first stage it has no previous block. The block just
before a down-sampling one is included.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn
from torchvision.models import resnet

from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.resnet import BasicBlock
from lottery_pipeline.models.ties import find_tied_layers

RESIDUAL_BLOCKS = (BasicBlock, resnet.BasicBlock, resnet.Bottleneck)
LEAST_PER_STAGE = 2


@dataclass(frozen=True)
class Block:
    """A residual block of a network.

    Attributes:
        name: of the module (``network.layer1.3``).
        stage: name of the ``nn.Sequential`` it is in.
        identity: whether its shortcut is the identity, so that it can be left out.
        first: whether it is the first of its stage.
        tied: whether a layer of it shares a tensor with another layer, so that it cannot be left out.
    """

    name: str
    stage: str
    identity: bool
    first: bool
    tied: bool = False

    @property
    def removable(self) -> bool:
        """Whether the network works without it."""
        return self.identity and not self.tied


def list_blocks(model: nn.Module) -> list[Block]:
    """Return the residual blocks in the order in which images pass through them.

    The blocks of our own and of torchvision's ResNets are known; each is in an ``nn.Sequential``.
    """
    blocks: list[Block] = []
    tied = [f"{layer}." for layer in find_tied_layers(model)]
    for stage, sequential in model.named_modules():
        if not isinstance(sequential, nn.Sequential):
            continue
        for position, (name, module) in enumerate(sequential.named_children()):
            if isinstance(module, RESIDUAL_BLOCKS):
                place = f"{stage}.{name}" if stage else name
                shares = any(layer.startswith(f"{place}.") for layer in tied)
                blocks.append(Block(place, stage, module.downsample is None, position == 0, shares))
    return blocks


def list_candidates(model: nn.Module, *, with_first_block: bool = False) -> list[Block]:
    """Return the blocks that may be removed, in order.

    Args:
        model: a residual network.
        with_first_block: also count the first block of a stage if its shortcut is the identity (stage 1 of
            CIFAR ResNets); the stem takes the place of the previous block.

    Raises:
        ModelError: the network has no block with an identity shortcut, such as a VGG.
    """
    blocks = [block for block in list_blocks(model) if block.removable]
    candidates = [block for block in blocks if with_first_block or not block.first]
    if not candidates:
        raise ModelError(
            "this network has no residual block with an identity shortcut, so no layer can be removed; "
            "choose a ResNet, e.g. resnet20 or torchvision:resnet50"
        )
    return candidates


def stage_sizes(model: nn.Module) -> dict[str, int]:
    """Return the number of blocks of every stage."""
    return dict(Counter(block.stage for block in list_blocks(model)))


def most_removable(
    candidates: Iterable[Block], sizes: dict[str, int], least_per_stage: int = LEAST_PER_STAGE
) -> int:
    """Return how many candidates can be removed while every stage keeps ``least_per_stage`` blocks."""
    by_stage = Counter(block.stage for block in candidates)
    return sum(max(0, min(count, sizes[stage] - least_per_stage)) for stage, count in by_stage.items())
