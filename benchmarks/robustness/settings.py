"""The settings of these measurements: images, recipe, methods, budget."""

from dataclasses import dataclass, field
from typing import Any

from benchmarks.specification import specify
from lottery_pipeline.images.preparation import prepare_images
from lottery_pipeline.images.request import ImageRequest
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options.robustness import RobustnessOptions
from lottery_pipeline.training.recipe import Recipe


@dataclass(frozen=True)
class Setting:
    """Images, recipe, methods and the budget of the evaluation; the note says what is special."""

    images: dict[str, Any]
    recipe: Recipe
    rewind_epoch: float
    methods: dict[str, dict[str, Any]]
    density: float
    robustness: dict[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def options(self) -> RobustnessOptions:
        """The options of the evaluation."""
        return RobustnessOptions.model_validate(self.robustness)

    def prepare(self, root: str | None) -> ImageSplits:
        """Prepare the images, which are the same for all seeds of a training."""
        changes = {"root": root} if root else {}
        return prepare_images(ImageRequest.model_validate(self.images | changes), seed=0)

    def specify(self, images: ImageSplits) -> ModelSpec:
        """Return the specification of the network, a ResNet-20."""
        return specify("resnet20", images)


_METHODS: dict[str, dict[str, Any]] = {
    "ltr": {"rate": 0.6},
    "cts": {},
    "snip": {"start": "rewind"},
    "random": {"allocation": "erk", "start": "rewind"},
    "layer": {"removed": 2, "start": "rewind"},
}
SETTINGS = {
    "digits": Setting(
        images={"source": "digits"},
        recipe=Recipe(
            learning_rate=0.1,
            weight_decay=5e-4,
            schedule="cosine",
            warmup_epochs=1,
            epochs=13,
            batch_size=64,
            crop_padding=1,
        ),
        rewind_epoch=2,
        methods=_METHODS,
        density=0.05,
        note="8x8 digits, 1,293 training images, the recipe of the default run.",
    ),
    "fashion": Setting(
        images={
            "source": "torchvision:FashionMNIST",
            "image_size": 14,
            "train_limit": 5000,
            "validation_fraction": 0.005,  # 300 of 60,000: attacked after every epoch
        },
        recipe=Recipe(
            learning_rate=0.1,
            weight_decay=5e-4,
            schedule="cosine",
            warmup_epochs=1,
            epochs=12,
            batch_size=64,
            crop_padding=1,
        ),
        rewind_epoch=1,
        methods=_METHODS,
        density=0.1,
        robustness={
            "adversarial": {"images": 400, "batch_size": 400, "eps_limit": "16/255"},
            "corruptions": {"images": 400},
            "out_of_distribution": {"images": 2000},
        },
        note="Fashion-MNIST at 14x14 pixels, 5,000 training images and 12 epochs: a schedule that fits into "
        "an hour and a half of two CPU cores, short of convergence.",
    ),
    "cifar": Setting(
        images={
            "source": "image_folder",
            "channels": 3,
            "train_limit": 20_000,
            "validation_fraction": 0.02,
        },
        recipe=Recipe(
            optimiser="nesterov",
            learning_rate=0.1,
            weight_decay=5e-4,
            schedule="cosine",
            warmup_epochs=1,
            epochs=16,
            batch_size=128,
            flip=True,
            crop_padding=4,
        ),
        rewind_epoch=2,
        methods=_METHODS,
        density=0.1,
        robustness={
            "adversarial": {
                "eps": "0.25/255 0.5/255 1/255 2/255 4/255 8/255",
                "eps_limit": None,
                "images": 1000,
                "batch_size": 500,
            },
            "corruptions": {"images": 1000},
            "out_of_distribution": {"images": 2000},
        },
        note="CIFAR-10 as a folder of images (--root), 20,000 training images and 16 epochs: a schedule that "
        "fits into minutes of a card, short of convergence.",
    ),
}
