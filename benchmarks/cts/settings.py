"""The settings of the study of CTS against rewinding: images, recipe, rewind point, length of the search."""

from dataclasses import dataclass, replace
from typing import Any

from lottery_pipeline.training.recipe import Recipe

RATE = 0.2  # rung r keeps 0.8^r
RUNGS = (6, 14, 18, 22, 26)
IMAGES_12: dict[str, Any] = {
    "source": "image_folder",
    "image_size": 12,
    "channels": 3,
    "train_limit": 5000,
    "validation_fraction": 0.02,
}
IMAGES_16: dict[str, Any] = {
    "source": "image_folder",
    "image_size": 16,
    "channels": 3,
    "validation_fraction": 0.02,
}
IMAGES_32: dict[str, Any] = {"source": "image_folder", "channels": 3, "validation_fraction": 0.02}
CIFAR: dict[str, Any] = {
    "optimiser": "sgd",
    "learning_rate": 0.1,
    "momentum": 0.9,
    "weight_decay": 1e-3,
    "schedule": "cosine",
}


@dataclass(frozen=True)
class Setting:
    """Images, recipe and rewind point of one part of the study.

    Attributes:
        images: request for the images; ``root`` comes from the command line.
        recipe: of every training.
        rewind_epoch: k of theta_k; theta_0 is the other start.
        length: of the mask search.
        seeds: of the runs.
        rungs: densities 0.8^r that are looked at.
        doubled: whether the dense network is trained for twice the epochs, too: how far had it converged?
        shuffled: whether the tickets of CTS with the task loss are also trained with shuffled masks.
        model: a built-in, or a factory of this folder.
        note: what there is to know about it.
    """

    images: dict[str, Any]
    recipe: Recipe
    rewind_epoch: float
    length: str | int
    seeds: tuple[int, ...]
    note: str
    rungs: tuple[int, ...] = RUNGS
    doubled: bool = True
    shuffled: bool = False
    model: str = "resnet20"

    @property
    def factory(self) -> str | None:
        """The model, where it is a factory."""
        return self.model if ":" in self.model else None


AUGMENTED = Setting(
    images={"source": "image_folder", "image_size": 16, "channels": 3, "train_limit": 15000},
    recipe=Recipe(**CIFAR, epochs=24, batch_size=128, flip=True, crop_padding=2),
    rewind_epoch=1,
    length=24,
    seeds=(0,),
    rungs=(22,),
    doubled=False,
    note="15,000 CIFAR-10 images of 16x16 pixels, flips and crops, 24 epochs, search of 24, float32",
)
TORCH_INIT = replace(
    AUGMENTED,
    images={**IMAGES_16, "train_limit": 15000},
    seeds=(0, 1, 2),
    shuffled=True,
    model="benchmarks.cts.models:resnet20_of_torch",
    note="`augmented` with the initialisation of PyTorch instead of Kaiming normal",
)
CONVERGED = Setting(
    images=IMAGES_12,
    recipe=Recipe(**CIFAR, epochs=16, batch_size=64, precision="bfloat16"),
    rewind_epoch=1,
    length="half",
    seeds=(0, 1, 2),
    note="5,000 CIFAR-10 images of 12x12 pixels, no augmentation, 16 epochs",
)
REWINDS = {
    f"rewind_{epoch}": replace(
        CONVERGED,
        rewind_epoch=epoch,
        rungs=(22,),
        doubled=False,
        note=f"`converged` with theta_k after epoch {epoch} of 16 instead of 1",
    )
    for epoch in (3, 5, 9)
}
SETTINGS = {
    "digits": Setting(
        images={"source": "digits"},
        recipe=Recipe(
            learning_rate=0.1,
            weight_decay=5e-4,
            schedule="cosine",
            warmup_epochs=1,
            epochs=16,
            batch_size=64,
            crop_padding=1,
        ),
        rewind_epoch=1,
        length="half",
        seeds=(0,),
        note="the images of the default experiment and its recipe, 16 epochs long: too easy to rank methods",
    ),
    "converged": CONVERGED,
    **REWINDS,
    "undertrained": Setting(
        images=IMAGES_12,
        recipe=Recipe(**CIFAR, epochs=4, batch_size=64),
        rewind_epoch=1,
        length=8,
        seeds=(0, 1, 2),
        note="the images of `converged`, 4 epochs instead of 16, search of 8, float32",
    ),
    "small": Setting(
        images={
            "source": "image_folder",
            "image_size": 8,
            "channels": 3,
            "train_limit": 2000,
            "validation_fraction": 0.02,
        },
        recipe=Recipe(**CIFAR, epochs=40, batch_size=64, flip=True, crop_padding=1, crop_mode="reflect"),
        rewind_epoch=2.5,
        length="half",
        seeds=(0, 1, 2),
        note="2,000 CIFAR-10 images of 8x8 pixels, 40 epochs",
    ),
    "short": Setting(
        images={"source": "image_folder", "channels": 3, "train_limit": 5000},
        recipe=Recipe(**CIFAR, epochs=15, batch_size=128, precision="bfloat16"),
        rewind_epoch=1,
        length=20,
        seeds=(0,),
        note="5,000 CIFAR-10 images of 32x32 pixels, no augmentation, 15 epochs, search of 20",
    ),
    "large": Setting(
        images={"source": "image_folder", "image_size": 16, "channels": 3, "train_limit": 10000},
        recipe=Recipe(**CIFAR, epochs=20, batch_size=128),
        rewind_epoch=1,
        length=20,
        seeds=(0,),
        note="10,000 CIFAR-10 images of 16x16 pixels, no augmentation, 20 epochs, search of 20, float32",
    ),
    "augmented": AUGMENTED,
    "torch_init_16": TORCH_INIT,
    "torch_init_32": Setting(
        images={**IMAGES_32, "train_limit": 5000},
        recipe=Recipe(**CIFAR, epochs=15, batch_size=128, flip=True, crop_padding=4),
        rewind_epoch=1,
        length=20,
        seeds=(0, 1, 2),
        rungs=(14, 22),
        doubled=False,
        shuffled=True,
        model=TORCH_INIT.model,
        note="5,000 CIFAR-10 images of 32x32 pixels, flips and crops, 15 epochs, search 20, PyTorch's init",
    ),
    "average_16": replace(
        TORCH_INIT,
        seeds=(0,),
        note="`torch_init_16` with images that benchmarks.cts.halve_images has made by averaging 2x2 pixels",
    ),
}
