"""Where the blocks of a supernet stand in a drawing: branches are rows, stages follow from the left.

Everything is read from the names of the blocks: ``stages.s2.fuse.from1_to2``, ``stages.s2.branch1.block1``,
``head.widen1``, ``head.from1_to2``, ``head.transform``.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

Point = tuple[float, float]

_FUSE = re.compile(r"stages\.s(\d+)\.fuse\.from(\d+)_to(\d+)")
_BRANCH = re.compile(r"stages\.s(\d+)\.branch(\d+)\.block(\d+)")
_WIDEN = re.compile(r"head\.widen(\d+)")
_LINK = re.compile(r"head\.from(\d+)_to(\d+)")
_TRANSFORM = "head.transform"

FUSE_WIDTH = 1.7  # of the paths between two stages; a block is 1 wide
MARGIN = 0.75  # between the fused branches and the middle of the first block
HALF = 0.4  # of the width of a block


@dataclass
class Places:
    """A drawing of blocks. Branch 1 has height -1, branch 2 has height -2.

    Attributes:
        boxes: centre of each block within a branch, by name.
        paths: start and end of each block that leads from a branch to another one, or through a fusion.
        wires: start and end of lines that are no block; they end at the sides of boxes.
        stages: middle of each stage, by name.
        branches: number of branches.
        end: where the classifier stands.
    """

    boxes: dict[str, Point] = field(default_factory=dict)
    paths: dict[str, tuple[Point, Point]] = field(default_factory=dict)
    wires: list[tuple[Point, Point]] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)
    branches: int = 1
    end: Point = (1.0, -1.0)


def place_blocks(names: Iterable[str]) -> Places:
    """Place blocks by their names; a name that is none of a supernet's has no place.

    Args:
        names: of all searchable blocks, in any order.
    """
    names = list(names)
    places = Places()
    fuses = {name: tuple(map(int, found.groups())) for name in names if (found := _FUSE.fullmatch(name))}
    blocks = {name: tuple(map(int, found.groups())) for name in names if (found := _BRANCH.fullmatch(name))}
    x, alive = 0.0, {1}
    for stage in sorted({stage for stage, *_ in (*fuses.values(), *blocks.values())}):
        paths = {name: ends for name, (number, *ends) in fuses.items() if number == stage}
        inside = {name: place for name, (number, *place) in blocks.items() if number == stage}
        joined = x + FUSE_WIDTH
        branches = {branch for _, branch in paths.values()} | {branch for branch, _ in inside.values()}
        for name, (source, branch) in paths.items():
            # A new branch reads one that is fused already, so its path stands upright.
            start = x if branch in alive else joined
            places.paths[name] = ((start, -source), (joined, -branch))
        longest = max((block for _, block in inside.values()), default=0)
        end = joined + 2 * MARGIN + max(0, longest - 1)
        for name, (branch, block) in inside.items():
            places.boxes[name] = (joined + MARGIN + block - 1, -branch)
        for branch in sorted(branches):
            middles = sorted(places.boxes[name][0] for name, (own, _) in inside.items() if own == branch)
            places.wires += _wires_between(joined, end, -branch, middles)
        places.stages[f"s{stage}"] = (joined + end) / 2
        x, alive = end, branches
        places.branches = max(places.branches, *branches)
    _place_head(places, names, x, sorted(alive))
    return places


def _wires_between(
    start: float, end: float, height: float, middles: list[float]
) -> list[tuple[Point, Point]]:
    """Return the parts of a level line that no box covers."""
    lefts = [start, *(middle + HALF for middle in middles)]
    rights = [*(middle - HALF for middle in middles), end]
    return [((left, height), (right, height)) for left, right in zip(lefts, rights, strict=True)]


def _place_head(places: Places, names: list[str], x: float, alive: list[int]) -> None:
    """Place the head: every branch widened and added to the next, or all read by one block of branch 1."""
    middle, last = x + MARGIN + 0.25, x + 2 * MARGIN + 0.5
    widened = {name: int(found[1]) for name in names if (found := _WIDEN.fullmatch(name))}
    links = {name: tuple(map(int, found.groups())) for name in names if (found := _LINK.fullmatch(name))}
    for name, branch in widened.items():
        places.boxes[name] = (middle, -branch)
        places.wires += _wires_between(x, last, -branch, [middle])
    for name, (source, branch) in links.items():
        places.paths[name] = ((last, -source), (last, -branch))
    places.end = (last + MARGIN, -max(widened.values(), default=1))
    if _TRANSFORM in names:
        places.boxes[_TRANSFORM] = (last, -1)
        places.wires += [((x, -branch), (middle, -1)) for branch in alive]
        places.end = (last + 2 * MARGIN, -1)
        places.wires += _wires_between(middle, places.end[0], -1, [last])
    else:
        places.wires.append(((last, places.end[1]), places.end))
    if widened or _TRANSFORM in names:
        places.stages["head"] = middle if widened else last
