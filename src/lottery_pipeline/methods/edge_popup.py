"""Edge-popup (Ramanujan et al., CVPR 2020, *What's Hidden in a Randomly Weighted Neural Network?*).

The weights stay at their initial values. Every weight has a score; in the forward pass the share ``density``
of highest |score| in EACH LAYER is kept, and the gradient of the loss reaches the scores straight through
that choice. The result is a mask that makes a network of random weights accurate.

As in the authors' code: scores start Kaiming-uniform with a = sqrt(5), SGD 0.1 with momentum 0.9, weight
decay 1e-4 and a cosine schedule, batch norm without weight and bias. Deviations: exactly k weights are kept
over all layers (largest remainder); no augmentation; by default the weights are those of the dense run, so
that the ticket can be compared with others (``signed_constant`` is the authors' best); the ticket is then
trained, with batch norm's weight and bias of the start point.
"""

import math
from functools import partial

import torch
from torch import Tensor

from lottery_pipeline.options import FrozenWeightOptions
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.search.extraction import Extraction, Search
from lottery_pipeline.search.frozen_weights import ScoreLearner, sgd_recipe, weight_change
from lottery_pipeline.search.gated import GatedNetwork
from lottery_pipeline.search.mask_search import search_mask
from lottery_pipeline.search.outlook import Outlook
from lottery_pipeline.sparsity.allocation import allocate_uniform, kept_count
from lottery_pipeline.sparsity.selection import mark_top_k
from lottery_pipeline.training.recipe import Recipe


def extract_edge_popup(search: Search, options: FrozenWeightOptions) -> Extraction:
    """Find a ticket by edge-popup; result and errors as in ``search_mask``; scores are |s|."""
    return search_mask(
        "edge_popup",
        partial(make_learner, options.density),
        search,
        options,
        recipe=sgd_recipe(options),
        scope="layer",
        change_weights=weight_change(options),
        affine=False,
    )


def make_learner(density: float, network: GatedNetwork, recipe: Recipe, seed: int) -> ScoreLearner:
    """Return the learner: signed scores; the largest of every layer open their gates."""
    sizes = {name: shape.numel() for name, shape in network.shapes.items()}
    counts = allocate_uniform(sizes, kept_count(density, sum(sizes.values())))

    def pop_up(scores: Tensor) -> Tensor:
        magnitudes = scores.abs()
        parts = network.split(magnitudes.detach())
        kept = torch.cat([mark_top_k(part.reshape(-1), counts[name]) for name, part in parts.items()])
        return kept + (magnitudes - magnitudes.detach())

    return ScoreLearner(network, recipe, draw_scores(network, seed), pop_up, rank=torch.abs)


def draw_scores(network: GatedNetwork, seed: int) -> Tensor:
    """Draw scores [D], Kaiming-uniform with a = sqrt(5): U(-b, b) with b = 1 / sqrt(fan_in) in each layer."""
    generator = make_generator(seed, "scores")
    layers = [
        torch.empty(shape).uniform_(-1, 1, generator=generator) / math.sqrt(shape[1:].numel())
        for shape in network.shapes.values()
    ]
    return torch.cat([layer.reshape(-1) for layer in layers]).to(network.weights.device)


def check_edge_popup(outlook: Outlook, options: FrozenWeightOptions) -> None:
    """Make a step of the search, before anything runs; ``UnfitError``."""
    if outlook.trial is not None and options.density < 1:
        outlook.trial.try_learner("edge_popup", partial(make_learner, options.density), affine=False)
