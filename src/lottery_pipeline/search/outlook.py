"""What is known of a search before anything runs: what the check of a method is given."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options.task import TaskName
from lottery_pipeline.search.trial import Trial
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import State

STANDING_IN = 32  # height and width of images whose size nobody knows yet, pixels


@dataclass(frozen=True)
class Outlook:
    """A search before its images are read.

    Attributes:
        spec: of the network of ``model.name``. What nobody knows of the images yet is stood in for.
        is_built_in: whether that network can be built before its images are known: not one of torchvision or
            of the user's own, whose images may have to fit.
        size_is_known: whether the images will have the size in ``spec``.
        task: of the images.
        recipe: of the search and the retraining.
        find_initial: reads theta_0 if the user brings it; None if not, or if it cannot be fitted yet.
    """

    spec: ModelSpec
    is_built_in: bool
    size_is_known: bool
    task: TaskName
    recipe: Recipe
    find_initial: Callable[[], State | None] = lambda: None

    @property
    def network(self) -> ModelSpec | None:
        """The specification of the network if it can be built now, else None."""
        return self.spec if self.is_built_in else None

    @cached_property
    def trial(self) -> Trial | None:
        """The network with two images; None if it takes others than those stood in for."""
        return Trial.prepare(self.spec, self.find_initial())
