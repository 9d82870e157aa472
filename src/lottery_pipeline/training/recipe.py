"""Recipes: everything that defines a training, checked before it starts. Imports no torch."""

import math
from fractions import Fraction
from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from lottery_pipeline.options.adversary import Adversary
from lottery_pipeline.options.lists import Group
from lottery_pipeline.options.numerals import write_number

Optimiser = Literal["sgd", "nesterov", "adam", "adamw"]
Schedule = Literal["constant", "step", "cosine"]
Precision = Literal["float32", "bfloat16"]

# olth: the open_lth defaults for ResNet-20 and VGG-16; rewind after about 2,000 steps.
# tlab: lottery ticket rewinding as the authors of Concrete Ticket Search (arXiv 2512.07142) run it; rewind at
# epoch 9. Their hooks drop the rate one epoch before the nominal 80 and 120. Deviations: bfloat16 autocast
# instead of float16 with a gradient scaler, one device instead of four, batch norm evaluated with tracked
# statistics, pixel statistics of the training split.
NAMED_RECIPES: dict[str, dict[str, Any]] = {
    "custom": {},
    "olth": {
        "optimiser": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "schedule": "step",
        "milestones": (80, 120),
        "gamma": 0.1,
        "epochs": 160,
        "batch_size": 128,
        "flip": True,
        "crop_padding": 4,
        "crop_mode": "zero",
    },
    "tlab": {
        "optimiser": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 1e-3,
        "schedule": "step",
        "milestones": (79, 119),
        "gamma": 0.1,
        "epochs": 160,
        "batch_size": 512,
        "loss_reduction": "sum",
        "clip_norm": 2.0,
        "flip": True,
        "crop_padding": 4,
        "crop_mode": "reflect",
        "precision": "bfloat16",
    },
}


# Fields that came later. They are written only if they are used, so records and fingerprints of recipes
# without them stay as they are.
_LATER_FIELDS: dict[str, Any] = {"augmix": False, "adversary": None, "graph": "auto"}


class RecipeError(ValueError):
    """A recipe that does not fit the images or the request at hand."""


class Recipe(Group):
    """How to train. A named recipe fills in what is not given; explicit keys override it.

    Exactly one of ``epochs`` and ``iterations`` sets the length. Milestones and warm-up are counted in epochs
    (fractions allowed) whichever of the two is used. Momentum is the first-moment decay: SGD's momentum, or
    Adam's beta_1. Weight decay acts on every trainable parameter, as in the published codes.

    ``augmix`` mixes every image with changed copies of itself, after crop and flip. With an ``adversary`` the
    network trains on images that an attack has changed, and the history tells its accuracy under attack.

    ``graph`` says how steps are made on a GPU: ``auto`` captures them in a CUDA graph where that is possible
    (``lottery_pipeline.training.captured``), ``False`` makes every step eagerly.

    ``name`` itself changes nothing: two recipes with the same other values train alike.
    """

    name: Literal["custom", "olth", "tlab"] = "custom"
    optimiser: Optimiser = "sgd"
    learning_rate: float = Field(default=0.1, gt=0, validate_default=True)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    schedule: Schedule = "constant"
    milestones: tuple[float, ...] = ()
    gamma: float = Field(default=0.1, gt=0, le=1)
    warmup_epochs: float = Field(default=0.0, ge=0)
    epochs: int | None = Field(default=None, ge=1, le=1_000_000)
    iterations: int | None = Field(default=None, ge=1, le=1_000_000_000)
    batch_size: int = Field(default=128, ge=2, le=1_048_576)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    clip_norm: float | None = Field(default=None, gt=0)
    loss_reduction: Literal["mean", "sum"] = "mean"
    flip: bool = False
    crop_padding: int = Field(default=0, ge=0, le=1024)
    crop_mode: Literal["zero", "reflect"] = "zero"
    augmix: bool = False
    adversary: Adversary | None = None
    precision: Precision = "float32"
    evaluation_interval: int | None = Field(default=None, ge=1)
    graph: Literal["auto", False] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _fill_from_name(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        name = given.get("name", "custom")
        named = dict(NAMED_RECIPES.get(name, {})) if isinstance(name, str) else {}
        if given.get("iterations") is not None and given.get("epochs") is None:
            named.pop("epochs", None)
        if given.get("schedule", "step") != "step":
            named.pop("milestones", None)
        return {**named, **given}

    @field_validator("milestones")
    @classmethod
    def _milestones_ascend(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(milestone <= 0 for milestone in value):
            raise ValueError("milestones are epochs after the start and must be greater than 0")
        if list(value) != sorted(set(value)):
            raise ValueError("milestones must be strictly increasing, for example [80, 120]")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.epochs is None) == (self.iterations is None):
            raise ValueError("give exactly one of `epochs` and `iterations`; both set the length")
        if self.schedule == "step" and not self.milestones:
            raise ValueError("schedule 'step' needs `milestones`; for a fixed rate use schedule 'constant'")
        if self.schedule != "step" and self.milestones:
            raise ValueError(f"`milestones` belong to schedule 'step'; leave them out for {self.schedule!r}")
        if self.optimiser == "nesterov" and self.momentum == 0:
            raise ValueError("optimiser 'nesterov' needs a momentum greater than 0")
        if self.epochs is not None:
            _check_length(self, self.epochs)
        return self

    @model_serializer(mode="wrap")
    def _leave_out_what_is_not_used(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        return {
            name: value
            for name, value in written.items()
            if name not in _LATER_FIELDS or value != _LATER_FIELDS[name]
        }

    def replace(self, **changes: Any) -> "Recipe":
        """Return a checked copy with changes; a new ``epochs`` replaces ``iterations``, and vice versa.

        Milestones are dropped when the schedule changes from ``step`` to another.
        """
        values = {name: getattr(self, name) for name in Recipe.model_fields}
        if changes.get("iterations") is not None:
            values["epochs"] = None
        if changes.get("epochs") is not None:
            values["iterations"] = None
        if changes.get("schedule", "step") != "step":
            values["milestones"] = ()
        if changes.get("name", self.name) != self.name:
            values = {}
        return Recipe(**{**values, **changes})

    def steps_per_epoch(self, images: int) -> int:
        """Optimiser steps in one pass over ``images`` images.

        The smaller last batch is used, unless it holds one image: batch norm has no variance there.

        Raises:
            RecipeError: there are fewer than two images.
        """
        full, rest = divmod(images, self.batch_size)
        steps = full + (rest > 1)
        if steps == 0:
            raise RecipeError(f"a training needs at least 2 training images, but there are {images}")
        return steps

    def total_steps(self, images: int) -> int:
        """Optimiser steps of the whole training on ``images`` images."""
        if self.iterations is not None:
            return self.iterations
        assert self.epochs is not None  # noqa: S101 (the validator has made sure of one of the two)
        return self.epochs * self.steps_per_epoch(images)

    def check_length(self, images: int) -> None:
        """Refuse milestones and a warm-up that reach past the end of a training on ``images`` images.

        Raises:
            RecipeError: they do, or there are fewer than two images.
        """
        _check_length(self, self.total_steps(images) / self.steps_per_epoch(images))

    def passes_per_step(self) -> Fraction:
        """What a step costs, in steps without an adversary: forward, gradient of images, gradient of weights.

        A step of the attack has no gradient of weights, so it counts two thirds.
        """
        return 1 + Fraction(2, 3) * (0 if self.adversary is None else self.adversary.count_steps())

    def rewind_step(self, images: int, rewind_epoch: float) -> int:
        """Return the step of a rewind point: ``round(rewind_epoch * steps_per_epoch)``.

        Raises:
            RecipeError: the rewind point is negative, not finite, or not before the end of the training.
        """
        if not (math.isfinite(rewind_epoch) and rewind_epoch >= 0):
            raise RecipeError(f"rewind_epoch is {rewind_epoch}; it must be finite and at least 0")
        steps, total = self.steps_per_epoch(images), self.total_steps(images)
        step = round(rewind_epoch * steps)
        if step >= total:
            raise RecipeError(
                f"rewind_epoch {write_number(rewind_epoch)} (step {step}) is not before the end of the "
                f"training "
                f"({write_number(total / steps)} epochs, {total} steps)"
            )
        return step

    def convert_step(self, step: int, steps_per_epoch: int, images: int) -> int:
        """Return the step of this training after as many epochs as at a step of another one.

        Args:
            step: of the other training.
            steps_per_epoch: of the other training.
            images: number of training images of this one.

        Returns:
            The nearest step; of two equally near ones the even one. The same step if both have equally many
            steps in an epoch.
        """
        return round(Fraction(step * self.steps_per_epoch(images), steps_per_epoch))

    def learning_rates(self, images: int) -> list[float]:
        """Learning rate of every step on ``images`` images; entry i is used by step i, counted from 0.

        Warm-up over W steps multiplies the schedule by (i + 1) / W. The cosine falls from the end of the
        warm-up, 0.5 (1 + cos(pi (i - W) / (T - W))), and would reach 0 at step T.

        Raises:
            RecipeError: a milestone or the warm-up reaches past the last iteration.
        """
        self.check_length(images)
        steps, total = self.steps_per_epoch(images), self.total_steps(images)
        warmup = round(self.warmup_epochs * steps)
        drops = [round(milestone * steps) for milestone in self.milestones]
        rates = []
        for step in range(total):
            factor = 1.0
            if self.schedule == "step":
                factor = self.gamma ** sum(step >= drop for drop in drops)
            elif self.schedule == "cosine" and step >= warmup:
                factor = 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
            if step < warmup:
                factor *= (step + 1) / warmup
            rates.append(self.learning_rate * factor)
        return rates

    def record(self) -> dict[str, Any]:
        """Return what determines the training, as plain JSON: every field but the name and ``graph``.

        A captured step runs the same kernels as an eager one, so a result may be reused, and a training
        resumed, whichever way it is computed.
        """
        return self.model_dump(mode="json", exclude={"name", "graph"})


def _check_length(recipe: Recipe, epochs: float) -> None:
    """Refuse milestones after the end and a warm-up longer than the training; RecipeError is a ValueError."""
    late = [milestone for milestone in recipe.milestones if milestone >= epochs]
    if late:
        raise RecipeError(
            f"milestone {write_number(late[0])} is not before the end of the "
            f"training ({write_number(epochs)} epochs)"
        )
    if recipe.warmup_epochs > epochs:
        raise RecipeError(
            f"warmup_epochs {write_number(recipe.warmup_epochs)} is longer than the training "
            f"({write_number(epochs)} epochs)"
        )
