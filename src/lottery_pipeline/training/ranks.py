"""Which of several processes this one is, as torchrun tells it. Imports no torch."""

import os
from dataclasses import dataclass

START = "torchrun --nproc-per-node N -m lottery_pipeline"
_NUMBERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


class ParallelError(RuntimeError):
    """Processes that cannot train together, or not any more; one sentence, and it ends the run."""


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those that were started together.

    Attributes:
        rank: from 0; rank 0 runs the pipeline.
        world: number of processes, at least 2.
        local: rank among those of this machine, which is the number of its card.
        local_world: number of processes on this machine.
    """

    rank: int
    world: int
    local: int
    local_world: int


def read_ranks() -> Ranks | None:
    """Read what torchrun has set in the environment; None if this process is alone.

    Raises:
        ParallelError: WORLD_SIZE says that there are others, but the rest does not fit.
    """
    given = os.environ.get("WORLD_SIZE", "")
    if given in ("", "1"):
        return None
    found = {name: os.environ.get(name, "") for name in _NUMBERS}
    wrong = [name for name, value in found.items() if not (value.isascii() and value.isdigit())]
    if wrong:
        value = found[wrong[0]]
        raise ParallelError(
            f"WORLD_SIZE is {given!r}, so several processes are to train together, but {wrong[0]} is "
            f"{repr(value) if value else 'not set'}; `{START}` sets them all."
        )
    rank, world, local, local_world = (int(value) for value in found.values())
    if not (rank < world >= local_world > local):
        raise ParallelError(
            f"RANK {rank} of WORLD_SIZE {world} and LOCAL_RANK {local} of LOCAL_WORLD_SIZE {local_world} do "
            f"not fit together; `{START}` sets them all."
        )
    return Ranks(rank, world, local, local_world)
