"""The settings of the study of signed tickets, and the published figures beside them."""

from dataclasses import dataclass
from typing import Any

from lottery_pipeline.options.ownership import SignatureOptions
from lottery_pipeline.training.recipe import Recipe

SECRET = bytes(range(32))  # of a study whose keys anybody may know
OPTIONS = SignatureOptions(owner="benchmarks")

# arXiv 2111.00162, ResNet-20 on CIFAR-10 at 19.4 %: accuracy (%) and whether the QR code could be decoded,
# after magnitude pruning (share of the remaining weights, Table 6) and adding weights (probability, Table 8).
PUBLISHED_PRUNING = {
    0.05: (91.25, True),
    0.1: (90.72, True),
    0.2: (88.03, False),
    0.3: (80.08, False),
    0.5: (36.62, False),
}
PUBLISHED_ADDING = {0.005: (91.04, True), 0.01: (90.23, True), 0.02: (86.64, False), 0.05: (79.49, False)}


COMPARED = ("A5", "A6", "A8", "A11", "A13")  # what the published scheme was tried with, and what kills it
REMOVALS = ("A1", "A2", "A7", "A9", "A10", "A12", "A14", "A16", "A17")


@dataclass(frozen=True)
class Setting:
    """Images, recipe and grid of one part of the study.

    Attributes:
        images: request for the images; ``root`` comes from the command line.
        recipe: of every training.
        rewind_epoch: where tickets start.
        densities: of the tickets.
        seeds: of the runs.
        full: attacks that get their full grid, by density and seed of the ticket; others get the quick one.
        other: request for the data set that a network is moved to.
        attacker: how many training images an attacker has, and how many test images measure what is left;
            None for all.
        note: what there is to know about it.
    """

    images: dict[str, Any]
    recipe: Recipe
    rewind_epoch: float
    densities: tuple[float, ...]
    seeds: tuple[int, ...]
    full: dict[tuple[float, int], tuple[str, ...]]
    other: dict[str, Any] | None
    note: str
    attacker: tuple[int, int] | None = None


_RECIPE = Recipe(
    learning_rate=0.1,
    momentum=0.9,
    weight_decay=5e-4,
    schedule="cosine",
    warmup_epochs=1,
    epochs=30,
    batch_size=128,
    flip=True,
    crop_padding=4,
)
SETTINGS = {
    "cifar10": Setting(
        images={"source": "image_folder", "image_size": 32, "channels": 3, "validation_fraction": 0.02},
        recipe=_RECIPE.replace(learning_rate=0.2, batch_size=512),  # large batches keep a GPU busy
        rewind_epoch=2,
        densities=(0.17, 0.07, 0.018),
        seeds=(0, 1, 2),
        full={(0.17, 0): COMPARED, (0.018, 0): (*COMPARED, *REMOVALS)},
        other={
            "source": "torchvision:FashionMNIST",
            "image_size": 32,
            "channels": 3,
            "train_limit": 5000,
        },
        note="ResNet-20 on CIFAR-10 (JPEG files), 49,000 images, 30 epochs in batches of 512. "
        "Attackers have 5,000 images; 2,000 test images measure what is left.",
        attacker=(5000, 2000),
    ),
    "fashion": Setting(
        images={
            "source": "torchvision:FashionMNIST",
            "image_size": 14,
            "validation_fraction": 0.02,
            "train_limit": 6000,
        },
        recipe=_RECIPE.replace(epochs=12, batch_size=64, crop_padding=1),
        rewind_epoch=1,
        densities=(0.17, 0.07, 0.018),
        seeds=(0, 1, 2),
        full={},
        other=None,
        note="ResNet-20 on 6,000 images of Fashion-MNIST at 14x14, 12 epochs.",
    ),
    "small": Setting(
        images={
            "source": "image_folder",
            "image_size": 16,
            "channels": 3,
            "validation_fraction": 0.02,
            "train_limit": 4000,
        },
        recipe=_RECIPE.replace(epochs=10, batch_size=64, crop_padding=2),
        rewind_epoch=1,
        densities=(0.17, 0.018),
        seeds=(0,),
        full={},
        other=None,
        note="A few minutes on a CPU, to see it work.",
    ),
    "digits": Setting(
        images={"source": "digits"},
        recipe=_RECIPE.replace(epochs=13, batch_size=64, flip=False, crop_padding=1),
        rewind_epoch=2,
        densities=(0.17, 0.07, 0.018),
        seeds=(0, 1, 2),
        full={(0.17, seed): COMPARED for seed in (0, 1, 2)},
        other=None,
        note="ResNet-20 on 8x8 digits, the recipe of the default run; 359 test images, a point is 4 of them.",
    ),
}
