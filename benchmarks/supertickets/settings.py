"""The settings of the measurements of SuperTickets: images, supernet, recipe, search."""

from dataclasses import dataclass, field
from typing import Any, get_args

from benchmarks.specification import specify
from lottery_pipeline.images.preparation import prepare_images
from lottery_pipeline.images.request import ImageRequest
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options import SuperticketOptions
from lottery_pipeline.options.supertickets_study import ARMS
from lottery_pipeline.options.task import TaskName
from lottery_pipeline.training.recipe import Recipe


@dataclass(frozen=True)
class Setting:
    """What networks are found in and trained on.

    Attributes:
        images: request for the images.
        supernet: preset.
        recipe: of every training.
        extraction: changes to the options of the search.
        note: what there is to know about it.
        arms: of the study; all by default.
    """

    images: dict[str, Any]
    supernet: str
    recipe: Recipe
    extraction: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    arms: tuple[str, ...] = tuple(ARMS)

    @property
    def options(self) -> SuperticketOptions:
        """The options of the search; the density is that of the whole supernet."""
        return SuperticketOptions.model_validate({"density_of": "supernet", **self.extraction})

    def prepare(self, **changes: Any) -> ImageSplits:
        """Prepare the images, which are the same for all seeds of a training."""
        return prepare_images(ImageRequest.model_validate(self.images | changes), seed=0)

    def specify(self, images: ImageSplits) -> ModelSpec:
        """Return the specification of the whole supernet."""
        return specify(f"supernet:{self.supernet}", images)


_DIGITS = Recipe(
    learning_rate=0.1,
    momentum=0.9,
    weight_decay=5e-4,
    schedule="cosine",
    warmup_epochs=1,
    epochs=13,
    batch_size=64,
    crop_padding=1,
)
_CANVASES = Recipe(
    optimiser="adamw",
    learning_rate=0.005,
    momentum=0.9,
    weight_decay=1e-4,
    schedule="cosine",
    warmup_epochs=1,
    epochs=8,
    batch_size=32,
)
_CIFAR = Recipe(
    optimiser="nesterov",
    learning_rate=0.1,
    momentum=0.9,
    weight_decay=5e-4,
    schedule="cosine",
    warmup_epochs=1,
    epochs=8,
    batch_size=32,
    flip=True,
    crop_padding=4,
)
# What the paper compares the joint search with.
_COMPARED = ("dense", "search_then_prune", "prune_then_search", "random_masks", "two_in_one")
SETTINGS = {
    "digits": Setting(
        images={"source": "digits"},
        supernet="digits8",
        recipe=_DIGITS,
        extraction={"density": 0.1},
        note="8x8 digits, 1,293 training images, the recipe of the default run.",
    ),
    **{
        f"canvases_{task}": Setting(
            images={"source": "canvases", "task": task, "train_limit": 1200},
            supernet="canvas32",
            recipe=_CANVASES,
            extraction={"density": 0.15, "search": {"rho": 1e-4, "mac_budget": 0.6}},
            note="Digits on 32x32 canvases, 1,200 training images, 8 epochs of AdamW. Every search leaves "
            "60 % of the multiply-accumulates.",
            arms=_COMPARED,
        )
        for task in get_args(TaskName)
    },
    "cifar": Setting(
        images={
            "source": "image_folder",
            "channels": 3,
            "train_limit": 1000,
            "validation_fraction": 0.01,  # 500 of 50,000: measured after every epoch
        },
        supernet="cifar",
        recipe=_CIFAR,
        extraction={"density": 0.1},
        note="CIFAR-10 as a folder of images (--root), 1,000 training images and 8 epochs of batches of "
        "32: a schedule that fits into hours of one CPU core, far from convergence.",
        arms=_COMPARED,
    ),
}
