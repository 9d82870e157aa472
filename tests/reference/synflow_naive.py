"""SynFlow as on a blackboard: list every path from the inputs to the outputs of a bias-free ReLU network."""

import itertools
import math

import torch
from torch import Tensor


def synflow_naive(layers: list[Tensor]) -> list[Tensor]:
    """Return for every weight the sum, over the paths through it, of the product of |weights| along the path.

    Args:
        layers: weights [out, in] of linear layers, first to last.
    """
    scores = [torch.zeros_like(layer) for layer in layers]
    widths = [layers[0].shape[1], *(layer.shape[0] for layer in layers)]
    for path in itertools.product(*map(range, widths)):
        edges = list(zip(path[1:], path[:-1], strict=True))
        product = math.prod(abs(float(layer[edge])) for layer, edge in zip(layers, edges, strict=True))
        for score, edge in zip(scores, edges, strict=True):
            score[edge] += product
    return scores
