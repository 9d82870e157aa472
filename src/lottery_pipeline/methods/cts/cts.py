"""CTS: Concrete Ticket Search (Arora & Teuscher 2025, arXiv 2512.07142).

Every prunable weight gets a logit; its gate, a Binary Concrete sample, multiplies the frozen weight. Over the
epochs the logits learn to make the gated network do what the objective asks, while GradBalance holds the
expected density. The k weights with the highest logits are the ticket.

The body of the paper could not be read. What its abstract leaves open follows the authors' code (TLAB): all
logits start at logit(density), temperature 2/3 and their own form of the gate, one sample for each batch,
Adam at the network's rate, which drops to a tenth at 0.88 of the search, no augmentation, batch statistics.
Deviations: exactly k weights are kept (the authors' code keeps k + 1, or all ties); batch norm keeps running
statistics for training and test, which the search leaves alone; a last, smaller batch is used.
"""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from lottery_pipeline.methods.cts.concrete import initial_logit, relax, sample_noise
from lottery_pipeline.methods.cts.gradbalance import ascend_multiplier, balance_gradients
from lottery_pipeline.methods.cts.objectives import OBJECTIVES, Batch
from lottery_pipeline.options import OBJECTIVE_PASSES, CtsOptions
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.search.extraction import Extraction, Search
from lottery_pipeline.search.gated import GatedNetwork
from lottery_pipeline.search.mask_search import search_mask
from lottery_pipeline.search.outlook import Outlook
from lottery_pipeline.training.optimiser import MaskedOptimiser
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.reductions import add_up
from lottery_pipeline.training.result import State

CONSTRAINTS = {"gradbalance": balance_gradients, "lagrange": ascend_multiplier}


def extract_cts(search: Search, options: CtsOptions) -> Extraction:
    """Find a ticket by Concrete Ticket Search.

    Args:
        search: its dense run gives the frozen weights, theta_k or theta_0 by ``options.start``; the order of
            the images and the noise follow from its seed; ``on_record("search", row)`` gets a row per epoch.
        options: objective, constraint, length (which may be a part of the training's) and so on.

    Returns:
        The ticket, its logits as scores, and a trace with a row per step: ``objective`` (not scaled),
        ``multiplier`` (lambda), ``sparsity_error`` (S), ``expected_density`` (sum sigma / D) and
        ``positive_logits``, of the logits before the step. ``search_epochs`` counts what the objective adds:
        a teacher is a forward pass, a third of a training step.

    Raises:
        DensityError: the density keeps no weight.
        DivergenceError: a number of the search is not finite.
    """
    return search_mask(
        "cts",
        partial(ConcreteLearner, options),
        search,
        options,
        recipe={"optimiser": "adam", "momentum": 0.9, "schedule": "step"},
        passes=OBJECTIVE_PASSES[options.objective],
    )


class ConcreteLearner:
    """The logits and how a step moves them.

    Args:
        options: the search's options.
        network: the frozen network.
        recipe: the search's recipe.
        seed: determines the noise.
    """

    columns = ("objective", "multiplier", "sparsity_error", "expected_density", "positive_logits")

    def __init__(self, options: CtsOptions, network: GatedNetwork, recipe: Recipe, seed: int) -> None:
        self._options, self._network, self._seed = options, network, seed
        self._generator = torch.Generator(device=network.weights.device)
        self._objective = OBJECTIVES[options.objective]
        self._constraint = CONSTRAINTS[options.constraint]
        logits = torch.full_like(network.weights, initial_logit(options.density))
        learnt = nn.ParameterDict({"logits": logits})
        self._logits = learnt["logits"]
        self._optimiser = MaskedOptimiser(learnt, recipe, masks=None)
        self._multiplier: Tensor | None = None

    @property
    def scores(self) -> Tensor:
        """The logits [D]."""
        return self._logits.detach()

    @property
    def generators(self) -> tuple[torch.Generator, ...]:
        """That of the noise."""
        return (self._generator,)

    def modules(self) -> list[nn.Module]:
        """Return the modules of the network."""
        return self._network.modules()

    def prepare(self, number: int) -> None:
        """Seed the noise of a step."""
        self._generator.manual_seed(derive_seed(self._seed, "noise", number))

    def step(self, inputs: Tensor, labels: Tensor, rate: float | Tensor) -> Tensor:
        """Draw gates, measure the objective, balance its gradient, move the logits."""
        noise = sample_noise(len(self._logits), self._generator)
        gates = relax(
            self._logits, noise, temperature=self._options.temperature, form=self._options.concrete_form
        )
        value = self._objective.measure(self._network, gates, Batch(inputs, labels))
        gradient = add_up(*torch.autograd.grad(value, self._logits))
        balanced = self._constraint(
            self.scores,
            gradient * self._objective.scale,
            self._multiplier,
            density=self._options.density,
            rate=rate,
        )
        positive = (self.scores > 0).sum()
        if self._multiplier is None:
            self._multiplier = balanced.multiplier
        else:
            self._multiplier.copy_(balanced.multiplier)
        self._logits.grad = balanced.gradient
        self._optimiser.step(rate)
        return torch.stack(
            [value.detach(), balanced.multiplier, balanced.error, balanced.expected_density, positive]
        )

    def tensors(self) -> State:
        """Return logits, Adam's moments and the multiplier."""
        multiplier = {} if self._multiplier is None else {"multiplier": self._multiplier}
        return {"logits": self.scores, **multiplier, **self._optimiser.tensors()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore a state from ``tensors()``."""
        with torch.no_grad():
            self._logits.copy_(tensors["logits"])
        self._optimiser.load(tensors)
        if "multiplier" in tensors:
            self._multiplier = tensors["multiplier"].to(self._logits.device, copy=True)


def check_cts(outlook: Outlook, options: CtsOptions) -> None:
    """Make a step of the search, before anything runs: two objectives need second derivatives.

    Raises:
        UnfitError: the network cannot be searched.
    """
    if outlook.trial is not None and options.density < 1:
        outlook.trial.try_learner(f"cts {options.objective}", partial(ConcreteLearner, options))
