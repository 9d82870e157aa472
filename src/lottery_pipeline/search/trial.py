"""A trial before anything is trained: what a method does with a network, done once with two images."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn

from lottery_pipeline.costs.macs import count_macs
from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.search.gated import GatedNetwork
from lottery_pipeline.search.scoring import batch_statistics
from lottery_pipeline.sparsity.selection import Scores
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import State


class UnfitError(ValueError):
    """A network or images that a method cannot work with; a run of several can do without this one."""


@dataclass(frozen=True, eq=False)
class Trial:
    """The network of a run with the weights that it would start from, and two images of noise.

    Attributes:
        model: on the CPU.
        images: [2, C, H, W], pixels in [0, 1].
        labels: int64 [2].
        ignore_layers: patterns of layers that are never pruned.
        refusals: what was tried, and what came of it: a method within a layer ticket need not try it again.
    """

    model: nn.Module
    images: Tensor
    labels: Tensor
    ignore_layers: tuple[str, ...]
    refusals: dict[str, str] = field(default_factory=dict)

    @classmethod
    def prepare(cls, spec: ModelSpec, initial: State | None = None) -> Self | None:
        """Build the network; None if it does not take these images, which may stand in for others.

        Args:
            spec: of the network that the user named: if it is a factory, that is run.
            initial: the user's own theta_0; drawn if not given.
        """
        try:
            model = build_model(spec, seed=0, allow_factory=spec.name)
        except ModelError:
            return None
        if initial is not None:
            model.load_state_dict(initial)
        images = torch.rand(2, spec.channels, *spec.image_size, generator=make_generator(0, "trial"))
        return cls(model, images, torch.tensor([0, 1]), spec.ignore_layers)

    def try_scores(self, what: str, score: Callable[..., Scores], **options: bool) -> None:
        """Score the network by a function such as ``snip_scores``.

        Args:
            what: the method.
            score: the function.
            **options: of the function: those on which it may depend whether it works.

        Raises:
            UnfitError: the network cannot be scored.
        """

        def action() -> None:
            score(self.model, self.images, self.labels, ignore_layers=self.ignore_layers, **options)

        self.attempt(f"{what} {options}", action)

    def try_counting(self) -> None:
        """Count the multiply-accumulates, as every evaluation of a ticket does.

        Raises:
            UnfitError: those of a layer cannot be counted.
        """
        _, channels, height, width = self.images.shape
        self.attempt("macs", lambda: count_macs(self.model, (channels, height, width)), "count the work of")

    def try_learner(
        self, what: str, make_learner: Callable[[GatedNetwork, Recipe, int], Any], *, affine: bool = True
    ) -> None:
        """Make a step of a mask search.

        Args:
            what: the method, with those of its options that matter here.
            make_learner: as for ``search_mask``.
            affine: as for ``search_mask``.

        Raises:
            UnfitError: the network cannot be searched.
        """

        def step() -> None:
            with batch_statistics(self.model):
                network = GatedNetwork(self.model, self.ignore_layers, affine=affine)
                recipe = Recipe(epochs=1, batch_size=len(self.images))
                learner = make_learner(network, recipe, 0)
                learner.prepare(0)
                learner.step(self.images, self.labels, recipe.learning_rate)

        self.attempt(what, step)

    def attempt(self, what: str, action: Callable[[], object], verb: str = "search") -> None:
        """Do something with the network, unless it was tried before.

        Args:
            what: a name for it.
            action: leaves the network as it is.
            verb: what is done, for the sentence.

        Raises:
            UnfitError: it cannot be done.
        """
        if what not in self.refusals:
            try:
                with refusal_of(verb):
                    action()
            except UnfitError as error:
                self.refusals[what] = str(error)
            else:
                self.refusals[what] = ""
        if reason := self.refusals[what]:
            raise UnfitError(reason)


@contextmanager
def refusal_of(action: str) -> Iterator[None]:
    """Turn whatever a network raises into one sentence.

    Args:
        action: what is done with the network, as a verb.

    Raises:
        UnfitError: it raised something.
    """
    try:
        yield
    except Exception as error:  # whatever the user's code raises
        if isinstance(error, ValueError) and type(error).__module__.startswith("lottery_pipeline."):
            raise UnfitError(str(error)) from error
        if isinstance(error, RuntimeError) and "is not implemented" in str(error):
            raise UnfitError(
                f"this network cannot be differentiated as often as the method requires: {error}"
            ) from error
        fault = " ".join(f"{type(error).__name__}: {error}".split())
        raise UnfitError(f"cannot {action} this network ({fault[:200]})") from error
