"""Naive twin of the keyed mask code: loops over weights, channels and permutations."""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import permutations

import torch
from torch import Tensor


def live_naive(mask: Tensor) -> list[list[bool]]:
    """Return for every pair of channels whether both keep a weight somewhere in the layer."""
    rows, columns = mask.shape[0], mask.shape[1]
    kept = [[bool(mask[row, column].any()) for column in range(columns)] for row in range(rows)]
    row_lives = [any(kept[row]) for row in range(rows)]
    column_lives = [any(kept[row][column] for row in range(rows)) for column in range(columns)]
    return [[row_lives[row] and column_lives[column] for column in range(columns)] for row in range(rows)]


def place_naive(key: bytes, name: str, mask: Tensor, groups: int) -> list[list[int]]:
    """Return the carriers of a layer: live places by their keyed number, cut into eights."""
    live = live_naive(mask)
    kernel = mask[0, 0].numel()
    stream = hashlib.shake_256(key + f"|carriers/{name}".encode()).digest(8 * mask.numel())
    numbered = []
    for place in range(mask.numel()):
        row, column = divmod(place // kernel, mask.shape[1])
        if live[row][column]:
            numbered.append((int.from_bytes(stream[8 * place : 8 * place + 8], "big"), place))
    order = [place for _, place in sorted(numbered)]
    return [order[8 * group : 8 * group + 8] for group in range(groups)]


def mark_naive(mask: Tensor, groups: Sequence[Sequence[int]], targets: Sequence[int]) -> Tensor:
    """Return the mask of a layer with one carrier of each group kept, its count not yet given back."""
    flat = mask.reshape(-1).tolist()
    for group, target in zip(groups, targets, strict=True):
        for index, place in enumerate(group):
            flat[place] = index == target
    return torch.tensor(flat).reshape(mask.shape)


def fewest_naive(mask: Tensor, groups: Sequence[Sequence[int]], targets: Sequence[int]) -> int:
    """Return with how few weights a layer can keep the targets, no other carrier, and all its channels.

    One weight for each channel without a target, less one for each pair of such channels that can share one;
    the pairs are found with Kuhn's augmenting paths. More than there are, if a channel has only carriers.
    """
    live, kernel = live_naive(mask), mask[0, 0].numel()
    carriers = {place for group in groups for place in group}
    kept = [group[target] // kernel for group, target in zip(groups, targets, strict=True)]
    columns = range(mask.shape[1])
    open_rows = {row for row, pairs in enumerate(live) if any(pairs)} - {
        pair // len(columns) for pair in kept
    }
    open_columns = {column for column in columns if any(pairs[column] for pairs in live)}
    open_columns -= {pair % len(columns) for pair in kept}
    partner: dict[int, int] = {}

    def is_full(row: int, column: int) -> bool:
        first = (row * len(columns) + column) * kernel
        return not live[row][column] or carriers.issuperset(range(first, first + kernel))

    if any(all(is_full(row, column) for column in columns) for row in open_rows):
        return mask.numel() + 1
    if any(all(is_full(row, column) for row in range(len(live))) for column in open_columns):
        return mask.numel() + 1

    def find_partner(row: int, seen: set[int]) -> bool:
        for column in open_columns:
            if column in seen or is_full(row, column):
                continue
            seen.add(column)
            if column not in partner or find_partner(partner[column], seen):
                partner[column] = row
                return True
        return False

    shared = sum(find_partner(row, set()) for row in open_rows)
    return len(groups) + len(open_rows) + len(open_columns) - shared


def expect_edits(mask: Tensor, groups: Sequence[Sequence[int]]) -> tuple[float, float]:
    """Return mean and variance of how many carriers change, if targets are uniform and independent."""
    flat = mask.reshape(-1).tolist()
    mean = variance = 0.0
    for group in groups:
        kept = sum(flat[place] for place in group)
        mean += kept - 2 * kept / 8 + 1
        variance += 4 * kept / 8 * (1 - kept / 8)
    return mean, variance


def normalise_naive(magnitudes: Tensor, rounds: int = 20) -> Tensor:
    """Divide rows, then columns, by their L2 norms, again and again; ``[out, in, kernel]``."""
    scaled = magnitudes.tolist()
    rows, columns, kernel = magnitudes.shape
    for _ in range(rounds):
        for row in range(rows):
            norm = sum(value**2 for cell in scaled[row] for value in cell) ** 0.5 or 1.0
            scaled[row] = [[value / norm for value in cell] for cell in scaled[row]]
        for column in range(columns):
            norm = (
                sum(scaled[row][column][k] ** 2 for row in range(rows) for k in range(kernel)) ** 0.5 or 1.0
            )
            for row in range(rows):
                scaled[row][column] = [value / norm for value in scaled[row][column]]
    return torch.tensor(scaled, dtype=torch.float64)


def count_naive(scores: Sequence[Sequence[float]], targets: Sequence[int]) -> tuple[int, int]:
    """Return how many groups show their target, and how many have a single largest carrier."""
    matches = counted = 0
    for row, target in zip(scores, targets, strict=True):
        largest = [index for index, score in enumerate(row) if score == max(row)]
        if len(largest) == 1:
            counted += 1
            matches += largest[0] == target
    return matches, counted


def align_naive(
    ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], chain: Sequence[str]
) -> tuple[tuple[int, ...], ...]:
    """Return the orders of the hidden channels of a chain that make two networks most alike; tries them all.

    Args:
        ours: normalised magnitudes ``[out, in, kernel]`` by name; layer i + 1 reads what layer i writes.
        theirs: of the suspect; at most two layers of hidden channels, few channels each.
        chain: names of the layers.
    """
    widths = [len(ours[name]) for name in chain[:-1]]
    best: tuple[float, tuple[tuple[int, ...], ...]] = (-1.0, ())
    for first in permutations(range(widths[0])):
        for second in permutations(range(widths[1])) if len(widths) == 2 else [()]:
            orders = (first, second) if len(widths) == 2 else (first,)
            alike = 0.0
            for layer, name in enumerate(chain):
                weight = theirs[name]
                if layer < len(orders):
                    weight = weight[list(orders[layer])]
                if layer:
                    weight = weight[:, list(orders[layer - 1])]
                alike += float((ours[name] * weight).sum())
            best = max(best, (alike, orders))
    return best[1]


def margin_gradients(
    weights: Mapping[str, Tensor], masks: Mapping[str, Tensor], floors: Mapping[str, Tensor], strength: float
) -> dict[str, Tensor]:
    """Return the gradient of strength * sum relu(floor * m - |w|)^2 by autograd, m a constant.

    m is the larger of the root mean squares of the kept weights of the layer and of all layers.
    """
    leaves = {name: weight.detach().clone().requires_grad_() for name, weight in weights.items()}
    kept = {name: weight[masks[name]].detach().double() for name, weight in weights.items() if name in masks}
    everywhere = torch.cat([values.reshape(-1) for values in kept.values()]).square().mean().sqrt()
    term = torch.zeros((), dtype=torch.float64)
    for name, floor in floors.items():
        typical = max(everywhere, kept[name].square().mean().sqrt())
        term = term + (floor.double() * typical - leaves[name].double().abs()).relu().square().sum()
    (strength * term).backward()
    return {name: leaves[name].grad for name in floors}
