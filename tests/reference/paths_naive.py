"""Naive twin of the path scores: every path through a channel graph, one after the other."""

from collections.abc import Mapping, Sequence
from math import isclose, prod

from torch import Tensor

Node = tuple[int, int]  # stream, channel
Edge = tuple[Node, Node]


def list_edges(
    masks: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    links: Sequence[tuple[int, int, str | None]],
    widths: Mapping[int, int],
) -> dict[Edge, float]:
    """Return the strength of every cell that has any.

    Args:
        masks: kept weights.
        weights: of all layers.
        links: stream that is read, stream that is written, parameter name or None for an identity shortcut.
        widths: channels of every stream.
    """
    edges: dict[Edge, float] = {}
    for reads, writes, layer in links:
        if layer is None:
            for channel in range(widths[reads]):
                edges[(reads, channel), (writes, channel)] = 1.0
            continue
        weight, mask = weights[layer], masks[layer]
        columns = weight.shape[1] // widths[reads]
        for target in range(widths[writes]):
            for source in range(widths[reads]):
                total = 0.0
                for column in range(source * columns, (source + 1) * columns):
                    for value, kept in zip(
                        weight[target, column].reshape(-1).tolist(),
                        mask[target, column].reshape(-1).tolist(),
                        strict=True,
                    ):
                        total += abs(value) if kept else 0.0
                if total > 0:
                    edges[(reads, source), (writes, target)] = total
    return edges


def list_paths(edges: Mapping[Edge, float], start: Node, goal: Node) -> list[list[Edge]]:
    """Return all paths from one node to another."""
    if start == goal:
        return [[]]
    return [[edge, *rest] for edge in edges if edge[0] == start for rest in list_paths(edges, edge[1], goal)]


def path_shares(
    edges: Mapping[Edge, float], sources: Sequence[Node], sinks: Sequence[Node]
) -> dict[Edge, float]:
    """Return the share of the path mass, from sources to sinks, that passes through each edge."""
    shares = dict.fromkeys(edges, 0.0)
    total = 0.0
    for source in sources:
        for sink in sinks:
            for path in list_paths(edges, source, sink):
                mass = prod(edges[edge] for edge in path)
                total += mass
                for edge in path:
                    shares[edge] += mass
    return {edge: mass / total for edge, mass in shares.items()}


def count_shortest(edges: Mapping[Edge, float], nodes: Sequence[Node]) -> dict[Edge, float]:
    """Return, for each edge, its share of the shortest paths of all ordered pairs of nodes."""
    counts = dict.fromkeys(edges, 0.0)
    for start in nodes:
        for goal in nodes:
            paths = [] if start == goal else list_paths(edges, start, goal)
            lengths = [sum(1 / edges[edge] for edge in path) for path in paths]
            shortest = [
                path for path, length in zip(paths, lengths, strict=True) if isclose(length, min(lengths))
            ]
            for path in shortest:
                for edge in path:
                    counts[edge] += 1 / len(shortest)
    return counts
