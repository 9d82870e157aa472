"""Gem-Miner (Sreenivasan et al., NeurIPS 2022, *Rare Gems: Finding Lottery Tickets at Initialization*).

The weights stay fixed. Every weight has a probability of being kept, and the forward pass rounds it at 1/2;
the gradient of the loss reaches it straight through the rounding. Every few epochs the weights of lowest
probability are dropped for good, exponentially down to the density.

As in the authors' sample configuration: SGD 0.1 with momentum 0.9, L2 of 1e-4 on the probabilities, cosine,
a pruning every five epochs, batch norm without weight and bias. Deviations: the probabilities are drawn from
U(0, 1) and clamped to [0, 1], and the drop ranks all layers together (neither was read in the authors' code);
exactly k weights are kept, by probability, even if fewer would round to 1 (the authors then restore weights);
no augmentation; by default the weights are those of the dense run (``signed_constant`` is the authors'
choice); the ticket is then trained by the recipe of all tickets.
"""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from lottery_pipeline.options import GemMinerOptions
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.search.extraction import Extraction, Search
from lottery_pipeline.search.frozen_weights import ScoreLearner, sgd_recipe, weight_change
from lottery_pipeline.search.gated import GatedNetwork
from lottery_pipeline.search.mask_search import search_mask
from lottery_pipeline.search.outlook import Outlook
from lottery_pipeline.sparsity.schedules import exponential_counts
from lottery_pipeline.sparsity.selection import keep_top_k
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import State


def extract_gem_miner(search: Search, options: GemMinerOptions) -> Extraction:
    """Find a ticket by Gem-Miner; result and errors as in ``search_mask``.

    Scores are the number of prunings a weight survived plus its probability.
    """
    return search_mask(
        "gem_miner",
        partial(GemLearner, options, len(search.images.train)),
        search,
        options,
        recipe=sgd_recipe(options),
        change_weights=weight_change(options),
        affine=False,
    )


class GemLearner:
    """Probabilities, and which weights have been dropped so far.

    Args:
        options: density and pruning interval.
        images: number of training images.
        network: the frozen network.
        recipe: the search's recipe.
        seed: determines the first probabilities.
    """

    columns = (*ScoreLearner.columns, "alive")
    generators = ScoreLearner.generators

    def __init__(
        self, options: GemMinerOptions, images: int, network: GatedNetwork, recipe: Recipe, seed: int
    ) -> None:
        self._interval = options.pruning_epochs * recipe.steps_per_epoch(images)
        prunings = max(1, recipe.total_steps(images) // self._interval)
        self._counts = exponential_counts(len(network.weights), density=options.density, rounds=prunings)
        drawn = torch.rand(len(network.weights), generator=make_generator(seed, "scores"))
        self._learner = ScoreLearner(network, recipe, drawn.to(network.weights.device), self._round)
        self._survived = torch.zeros_like(network.weights)  # prunings, by weight
        self._alive = torch.ones_like(network.weights, dtype=torch.bool)

    @property
    def scores(self) -> Tensor:
        """Prunings survived plus probability, [D]."""
        return self._survived + self._learner.learnt

    def modules(self) -> list[nn.Module]:
        """Return the modules of the network."""
        return self._learner.modules()

    def prepare(self, number: int) -> None:
        """Prune if it is time to."""
        done, rest = divmod(number, self._interval)
        if rest == 0 and 0 < done < len(self._counts):  # the last pruning is the ticket's own selection
            self._prune(self._counts[done - 1])

    def step(self, inputs: Tensor, labels: Tensor, rate: float | Tensor) -> Tensor:
        """Make a step within [0, 1]."""
        loss = self._learner.step(inputs, labels, rate)
        self._learner.learnt.clamp_(0, 1)
        return torch.cat([loss, self._alive.count_nonzero().to(loss).reshape(1)])

    def _round(self, probabilities: Tensor) -> Tensor:
        kept = (probabilities >= 0.5).to(probabilities)
        return self._alive * (kept + (probabilities - probabilities.detach()))

    def _prune(self, count: int) -> None:
        masks = keep_top_k({"all": self.scores}, count, within={"all": self._alive})
        self._alive.copy_(masks["all"])
        self._survived += self._alive

    def tensors(self) -> State:
        """Return probabilities, momentum, and which weights were dropped when."""
        return {**self._learner.tensors(), "survived": self._survived, "alive": self._alive}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore a state from ``tensors()``."""
        self._learner.load(tensors)
        self._survived.copy_(tensors["survived"])
        self._alive.copy_(tensors["alive"])


def check_gem_miner(outlook: Outlook, options: GemMinerOptions) -> None:
    """Make a step of the search, before anything runs; ``UnfitError``."""
    if outlook.trial is not None and options.density < 1:
        images = len(outlook.trial.images)
        outlook.trial.try_learner("gem_miner", partial(GemLearner, options, images), affine=False)
