"""From scores of blocks to the blocks that go: ranks, floors of the stages, budgets."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import nn

from lottery_pipeline.costs.macs import count_macs, total_macs
from lottery_pipeline.models.blocks import Block, list_candidates, most_removable, stage_sizes
from lottery_pipeline.options.layer import LayerOptions
from lottery_pipeline.tickets.errors import TicketError


@dataclass(frozen=True)
class Demand:
    """What must go: blocks until their costs add up to the goal.

    Attributes:
        costs: by block: 1, or the multiply-accumulates of one image.
        goal: number of blocks, or of multiply-accumulates.
        least_per_stage: number of blocks that a stage keeps at least.
    """

    costs: Mapping[str, int]
    goal: int
    least_per_stage: int

    def remaining(self, gone: Sequence[str]) -> int:
        """Return how much of the goal is left when these blocks are gone; 0 or less if it is met."""
        return self.goal - sum(self.costs[block] for block in gone)


def plan_removal(model: nn.Module, options: LayerOptions, image_shape: tuple[int, int, int]) -> Demand:
    """Say what must go, and check that it can.

    Args:
        model: the dense network; on ``meta`` nothing is computed.
        options: ``removed`` or ``mac_budget``, and the floor.
        image_shape: channels, height, width.

    Raises:
        ModelError: the network has no block with an identity shortcut.
        TicketError: more is asked for than can go; the message names the most.
    """
    if options.removed == 0:
        return Demand({}, 0, options.min_blocks_per_stage)
    candidates = list_candidates(model, with_first_block=options.allow_first_block_of_stage1)
    sizes, least = stage_sizes(model), options.min_blocks_per_stage
    names = [block.name for block in candidates]
    floor = f"of its {len(names)} candidate blocks while every stage keeps {least} (min_blocks_per_stage)"
    if options.removed is not None:
        most = most_removable(candidates, sizes, least)
        if options.removed > most:
            raise TicketError(
                f"removed is {options.removed}, but the network can lose at most {most} {floor}"
            )
        return Demand(dict.fromkeys(names, 1), options.removed, least)
    assert options.mac_budget is not None  # noqa: S101 (the options have made sure of one of the two)
    macs = count_macs(model, image_shape)
    costs = {
        name: sum(count for layer, count in macs.items() if layer.startswith(f"{name}.")) for name in names
    }
    total = total_macs(macs)
    # Rounded, because a share such as (total - block) / total is not exact.
    demand = Demand(costs, total - round(options.mac_budget * total), least)
    most = _largest_saving(candidates, sizes, demand)
    if demand.goal > most:
        count = most_removable(candidates, sizes, least)
        raise TicketError(
            f"mac_budget is {options.mac_budget}, but at least {1 - most / total:.4f} of the "
            f"multiply-accumulates remain: the network can lose at most {count} {floor}"
        )
    return demand


def order_blocks(blocks: Sequence[Block], scores: Sequence[Mapping[str, float]]) -> list[Block]:
    """Order blocks, the least important first; the ranks of several criteria are added up.

    Consensus of arXiv 2411.14345: each criterion ranks the blocks 1..N, ascending; the least sum goes first.

    Args:
        blocks: in network order; among equals the earlier goes first.
        scores: of each criterion by block, higher = keep.
    """
    totals: Counter[str] = Counter()
    for own in scores:
        ascending = sorted(blocks, key=lambda block: own[block.name])
        totals.update({block.name: rank for rank, block in enumerate(ascending, start=1)})
    return sorted(blocks, key=lambda block: totals[block.name])


def choose_blocks(order: Sequence[Block], sizes: Mapping[str, int], demand: Demand) -> list[str]:
    """Return the blocks that go: the first in order until the goal is met, skipping stages too small.

    Args:
        order: the least important first.
        sizes: number of blocks by stage.
        demand: what must go.

    Raises:
        TicketError: removing everything that can go does not meet the goal.
    """
    left = dict(sizes)
    chosen: list[str] = []
    for block in order:
        if demand.remaining(chosen) <= 0:
            break
        if left[block.stage] > demand.least_per_stage:
            left[block.stage] -= 1
            chosen.append(block.name)
    if demand.remaining(chosen) > 0:
        raise TicketError(
            f"all {len(chosen)} blocks that may go do not meet the mac_budget; raise it, or lower "
            f"min_blocks_per_stage (now {demand.least_per_stage})"
        )
    return chosen


def choose_one(order: Sequence[Block], sizes: Mapping[str, int], demand: Demand) -> list[str]:
    """Return the first block that may go, in a list; like ``choose_blocks`` with the smallest goal."""
    return choose_blocks(order, sizes, replace(demand, goal=1))


def _largest_saving(candidates: Sequence[Block], sizes: Mapping[str, int], demand: Demand) -> int:
    saving = 0
    for stage, size in sizes.items():
        costs = sorted(
            (demand.costs[block.name] for block in candidates if block.stage == stage), reverse=True
        )
        saving += sum(costs[: max(0, size - demand.least_per_stage)])
    return saving
