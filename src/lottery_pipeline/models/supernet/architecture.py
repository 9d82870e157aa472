"""What a search has left of a supernet: widths by searchable block. Imports no torch.

An architecture is a tuple of ``BlockWidths``. The empty one means the full supernet; any other names every
searchable block, a block that has vanished too.
"""

from itertools import pairwise
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

BlockName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.]{1,200}$")]
Kernel = Annotated[int, Field(ge=1, le=15)]
Width = Annotated[int, Field(ge=1, le=100_000)]


class BlockWidths(BaseModel):
    """What is left of one searchable block.

    Attributes:
        block: name of the module (``network.stages.s2.branch1.block1``).
        hidden: kernel and number of hidden channels of each group, by ascending kernel. A group that is gone
            has no entry; without any entry the block is its skip path.
        tokens: of the attention path; 0: there is no such path.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    block: BlockName
    hidden: Annotated[tuple[tuple[Kernel, Width], ...], Field(max_length=8)] = ()
    tokens: Annotated[int, Field(ge=0, le=4096)] = 0

    @model_validator(mode="after")
    def _kernels_ascend(self) -> Self:
        if any(first >= second for (first, _), (second, _) in pairwise(self.hidden)):
            raise ValueError(f"hidden must name each kernel once, in ascending order; got {self.hidden}")
        return self


Architecture = tuple[BlockWidths, ...]
