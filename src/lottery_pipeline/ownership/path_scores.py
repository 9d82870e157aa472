"""Scores of a cell by the paths through it: edge-weight products and betweenness (arXiv 2111.00162, 3.3.1).

A cell is a pair of an output and an input channel of a layer: one kernel of a convolution, one weight of a
linear layer, or the columns of one flattened channel. Its strength is the sum of the absolute kept weights.
Channels are the nodes of a graph and cells its edges; an identity shortcut is an edge of strength 1 from each
channel to itself.

The authors' code estimates both scores: one from random walks that ignore shortcuts, the other from sampled
pivots without edge weights. Here both are exact, and shortcuts count.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import networkx
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torchvision.models import ResNet

from lottery_pipeline.models.blocks import list_blocks
from lottery_pipeline.models.classifier import Classifier
from lottery_pipeline.models.resnet import CifarResNet
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.surgery.channels import find_inner_groups

Floats = npt.NDArray[np.float64]

MAX_RELAXATIONS = 200_000_000  # edges that betweenness may look at: minutes


@dataclass(frozen=True)
class Link:
    """A layer or an identity shortcut between two streams of channels.

    Attributes:
        reads: number of the stream that is read; stream 0 is the image.
        writes: number of the stream that is written; layers that write the same stream are added.
        layer: parameter name of the weight (``network.conv1.weight``); None for an identity shortcut.
    """

    reads: int
    writes: int
    layer: str | None


def find_links(model: Classifier) -> list[Link]:
    """Return the layer graph of a chain of layers or of a residual network, in the order of computation.

    Args:
        model: on any device, ``meta`` included.

    Raises:
        OwnershipError: the structure is unknown, so only scores that need no paths are possible.
    """
    layers = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    followers = {group.name: group.inputs[0][0] for group in find_inner_groups(model)}
    if layers and all(followers.get(first) == second for first, second in pairwise(layers)):
        return [Link(place, place + 1, f"{layer}.weight") for place, layer in enumerate(layers)]
    if type(model.network) in (CifarResNet, ResNet):
        links = _residual_links(model)
        # A grouped convolution reads only some channels, so it is not a full bipartite graph of cells.
        grouped = any(isinstance(module, nn.Conv2d) and module.groups > 1 for module in model.modules())
        if not grouped and {link.layer for link in links} - {None} == {f"{name}.weight" for name in layers}:
            return links
    raise OwnershipError(
        f"the paths through this {type(model.network).__name__} are unknown, since it is neither a chain of "
        "layers nor a known residual network; choose score 'omp' or 'random'"
    )


def score_paths(
    masks: Mapping[str, Tensor], weights: Mapping[str, Tensor], links: Sequence[Link]
) -> dict[str, Floats]:
    """Score each cell by the share of the path mass that passes through it (EWP), by dynamic programming.

    The mass of a path from an input channel to a logit is the product of the strengths along it. With
    forward mass a and backward mass b, a cell of strength s from channel i to o has a[i] * s * b[o]. Layers
    that write the same channels add their masses. The recursion runs on logarithms, so no depth overflows.

    Args:
        masks: kept weights; a layer without a mask counts whole.
        weights: by parameter name, at least those of all links.
        links: from ``find_links``.

    Returns:
        By parameter name, [output channels, input channels], each in [0, 1]; all zero if no path is left.

    Raises:
        OwnershipError: links and weights do not fit, or a weight is not finite.
    """
    strengths, widths = _measure_strengths(masks, weights, links)
    with np.errstate(divide="ignore"):
        logs = [None if cells is None else np.log(cells) for cells in strengths]
    source, sink = links[0].reads, links[-1].writes
    ahead, behind = {source: np.zeros(widths[source])}, {sink: np.zeros(widths[sink])}
    for link, log in zip(links, logs, strict=True):
        _push(ahead, link.reads, link.writes, log)
    for link, log in zip(reversed(links), reversed(logs), strict=True):
        _push(behind, link.writes, link.reads, None if log is None else log.T)
    total = np.logaddexp.reduce(ahead[sink])
    scores = {}
    for link, log in zip(links, logs, strict=True):
        if link.layer is not None and log is not None:
            if np.isneginf(total):
                scores[link.layer] = np.zeros_like(log)
            else:
                scores[link.layer] = np.exp(ahead[link.reads] + log + behind[link.writes][:, None] - total)
    return scores


def score_betweenness(
    masks: Mapping[str, Tensor], weights: Mapping[str, Tensor], links: Sequence[Link]
) -> dict[str, Floats]:
    """Score each cell by the shortest paths that pass through it (edge betweenness), exactly.

    The graph is directed as images pass; an edge of strength s has length 1 / s, and an edge without
    strength is absent. An edge counts, over all pairs of channels, the share of shortest paths between the
    two that use it (Brandes' algorithm).

    Args:
        masks: kept weights; a layer without a mask counts whole.
        weights: by parameter name, at least those of all links.
        links: from ``find_links``.

    Returns:
        By parameter name, [output channels, input channels], not normalised; zero without strength.

    Raises:
        OwnershipError: links and weights do not fit, a weight is not finite, or the graph is too large.
    """
    strengths, widths = _measure_strengths(masks, weights, links)
    edges = [
        (link.reads, widths[link.writes] if cells is None else int(np.count_nonzero(cells)))
        for link, cells in zip(links, strengths, strict=True)
    ]
    work = sum(
        width * sum(count for reads, count in edges if reads >= stream) for stream, width in widths.items()
    )
    if work > MAX_RELAXATIONS:
        raise OwnershipError(
            f"betweenness would look at up to {work} edges, but may look at {MAX_RELAXATIONS}; choose score "
            "'ewp', 'omp' or 'random'"
        )
    graph = networkx.DiGraph()
    graph.add_nodes_from((stream, channel) for stream, width in widths.items() for channel in range(width))
    for link, cells in zip(links, strengths, strict=True):
        for target, source, length in _list_edges(cells, widths[link.reads]):
            graph.add_edge((link.reads, source), (link.writes, target), length=length)
    found = networkx.edge_betweenness_centrality(graph, normalized=False, weight="length")
    scores = {}
    for link, cells in zip(links, strengths, strict=True):
        if link.layer is not None and cells is not None:
            scores[link.layer] = np.zeros_like(cells)
            for target, source, _ in _list_edges(cells, widths[link.reads]):
                edge = ((link.reads, source), (link.writes, target))
                scores[link.layer][target, source] = found[edge]
    return scores


def rank_weights(cells: Mapping[str, Floats], magnitudes: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn scores of cells into scores of weights: first by cell, then by magnitude, then by layer and index.

    Args:
        cells: by parameter name, [output channels, input channels].
        magnitudes: absolute weights, by parameter name, on the CPU.

    Returns:
        By parameter name, in the shapes of the weights, float64; no two are equal, higher = first.

    Raises:
        OwnershipError: a layer of the weights has no cells.
    """
    if missing := [name for name in magnitudes if name not in cells]:
        raise OwnershipError(f"the layer graph lacks the masked layers {missing[:3]}")
    sizes = [magnitude.numel() for magnitude in magnitudes.values()]
    by_cell = [
        np.repeat(cells[name].reshape(-1), size // cells[name].size)
        for name, size in zip(magnitudes, sizes, strict=True)
    ]
    by_weight = [magnitude.numpy().reshape(-1) for magnitude in magnitudes.values()]
    order = np.lexsort((-np.concatenate(by_weight), -np.concatenate(by_cell)))
    ranks = np.empty(len(order))
    ranks[order] = -np.arange(len(order), dtype=np.float64)
    parts = torch.from_numpy(ranks).split(sizes)
    return {
        name: part.reshape(magnitude.shape)
        for (name, magnitude), part in zip(magnitudes.items(), parts, strict=True)
    }


def _push(masses: dict[int, Floats], source: int, target: int, logs: Floats | None) -> None:
    """Add what the log masses [source] send through log strengths [target, source] to those of the target."""
    moved = masses[source] if logs is None else np.logaddexp.reduce(logs + masses[source], axis=1)
    masses[target] = np.logaddexp(masses[target], moved) if target in masses else moved


def _list_edges(cells: Floats | None, width: int) -> Iterator[tuple[int, int, float]]:
    """Yield target, source and length of the edges of a link; an identity shortcut has no cells."""
    if cells is None:
        yield from ((channel, channel, 1.0) for channel in range(width))
        return
    for target, source in np.argwhere(cells >= np.finfo(np.float64).tiny).tolist():
        yield target, source, float(1.0 / cells[target, source])


def _measure_strengths(
    masks: Mapping[str, Tensor], weights: Mapping[str, Tensor], links: Sequence[Link]
) -> tuple[list[Floats | None], dict[int, int]]:
    """Return the strengths [output, input channels] of each link, and the channels of each stream."""
    strengths: list[Floats | None] = []
    widths: dict[int, int] = {}
    for link in links:
        cells = None if link.layer is None else _measure_layer(masks, weights, link.layer)
        wide = widths.get(link.reads, 0) if cells is None else cells.shape[1]
        inputs = widths.setdefault(link.reads, wide)
        outputs = inputs if cells is None else len(cells)
        # A flattened channel has several columns: they are summed into one cell.
        if not inputs or wide % inputs or widths.setdefault(link.writes, outputs) != outputs:
            raise OwnershipError(f"the layer graph does not fit the shape of {link.layer or 'a shortcut'}")
        strengths.append(None if cells is None else cells.reshape(outputs, inputs, -1).sum(2))
    return strengths, widths


def _measure_layer(masks: Mapping[str, Tensor], weights: Mapping[str, Tensor], layer: str) -> Floats:
    """Return the strengths [output channels, columns] of one layer."""
    if layer not in weights:
        raise OwnershipError(f"the layer graph has a layer {layer}, but there is no weight of this name")
    weight = weights[layer].detach().cpu().double().abs()
    if layer in masks:
        weight = weight * masks[layer].cpu()
    strengths: Floats = weight.flatten(2).sum(2).numpy() if weight.dim() > 2 else weight.numpy()
    if not np.isfinite(strengths).all():
        raise OwnershipError(f"the weights of {layer} are not all finite, so no path can be weighed")
    return strengths


def _residual_links(model: Classifier) -> list[Link]:
    """Return the links of a ResNet: the stem, each block's layers and shortcut, the classifier."""
    links = [Link(0, 1, "network.conv1.weight")]
    for block in list_blocks(model):
        enters = links[-1].writes
        module = model.get_submodule(block.name)
        inner = [name for name, child in module.named_children() if isinstance(child, nn.Conv2d)]
        leaves = enters + len(inner)
        links += [
            Link(enters + place, enters + place + 1, f"{block.name}.{name}.weight")
            for place, name in enumerate(inner)
        ]
        links.append(Link(enters, leaves, None if block.identity else f"{block.name}.downsample.0.weight"))
    return [*links, Link(links[-1].writes, links[-1].writes + 1, "network.fc.weight")]
