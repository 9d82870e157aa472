"""The settings of the study of layer tickets, their plans, and the published figures beside them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from lottery_pipeline.options.filter import Matching
from lottery_pipeline.training.recipe import Recipe

MARGIN = 0.01  # xi, the loss of accuracy that a winning ticket may have
# arXiv 2301.10835, Tables 2 and 3: accuracy minus the dense network's, points; ResNet-32 on CIFAR-10, 32x32.
PUBLISHED_LAYER = {
    "snip": {1: 0.08, 2: 0.00, 3: -0.50, 4: -0.53, 5: -1.00},
    "grasp": {1: 0.40, 2: 0.72, 3: 0.34, 4: 0.41, 5: 0.12},
}
PUBLISHED_FILTER = {"snip": {1: -0.79}, "grasp": {1: -0.11}}  # as many filters as without the one block


@dataclass(frozen=True)
class Setting:
    """Images, recipe and grid of one part of the study.

    Attributes:
        images: request for the images; ``root`` comes from the command line.
        recipe: of every training, dense and ticket alike.
        removed: by network, the numbers p of residual blocks to remove.
        seeds: of the runs.
        note: what there is to know about it.
        criteria: that blocks are ranked by.
        controls: those of them that get a shallow network and filter tickets beside the layer ticket.
        filter_removed: p for which filter tickets are found.
    """

    images: dict[str, Any]
    recipe: Recipe
    removed: dict[str, tuple[int, ...]]
    seeds: tuple[int, ...]
    note: str
    criteria: tuple[str, ...] = ("snip", "grasp", "random")
    controls: tuple[str, ...] = ("snip", "grasp")
    filter_removed: tuple[int, ...] = (1, 3, 5)


SETTINGS = {
    "small": Setting(
        images={
            "source": "image_folder",
            "image_size": 12,
            "channels": 3,
            "train_limit": 5000,
            "validation_fraction": 0.02,
        },
        recipe=Recipe(
            learning_rate=0.1,
            weight_decay=5e-4,
            schedule="cosine",
            warmup_epochs=1,
            epochs=12,
            batch_size=64,
        ),
        removed={"resnet32": (1, 2, 3, 4, 5), "resnet56": (1, 2, 3, 4, 5, 12)},
        seeds=(0, 1, 2),
        note="5,000 CIFAR-10 images of 12x12 pixels, no augmentation, a schedule shortened to 12 epochs",
        filter_removed=(1, 5),
    ),
    "digits": Setting(
        images={"source": "digits"},
        recipe=Recipe(
            learning_rate=0.1,
            weight_decay=5e-4,
            schedule="cosine",
            warmup_epochs=1,
            epochs=8,
            batch_size=64,
            crop_padding=1,
        ),
        removed={"resnet32": (1, 5)},
        seeds=(0, 1, 2),
        note="the digits of scikit-learn, 8x8 pixels, 8 epochs: too easy to tell a winner from a loser",
        filter_removed=(1,),
    ),
}


@dataclass(frozen=True)
class Plan:
    """One network to be trained: what its row is known by.

    Attributes:
        network: name of the model.
        method: ``layer``, ``shallow`` or ``filter``.
        criterion: that blocks or filters are ranked by.
        removed: p, blocks removed from the network or from the one that is matched.
        matching: of a filter ticket, else None.
        seed: of the run.
    """

    network: str
    method: str
    criterion: str
    removed: int
    matching: str | None
    seed: int

    def path(self, work: Path) -> Path:
        """Return where its row lies."""
        parts = (self.method, self.criterion, f"{self.removed:02d}", *filter(None, [self.matching]))
        return seed_folder(work, self.seed) / self.network / f"{'_'.join(parts)}.json"


def list_plans(setting: Setting, network: str, seed: int) -> Iterator[Plan]:
    """Yield all networks to be trained besides the dense one."""
    for removed in setting.removed[network]:
        for criterion in setting.criteria:
            yield Plan(network, "layer", criterion, removed, None, seed)
            if criterion not in setting.controls:
                continue
            yield Plan(network, "shallow", criterion, removed, None, seed)
            for matching in get_args(Matching) if removed in setting.filter_removed else ():
                yield Plan(network, "filter", criterion, removed, matching, seed)


def seed_folder(work: Path, seed: int) -> Path:
    """Return where all of a seed lies."""
    return work / f"seed{seed}"


def dense_path(work: Path, network: str, seed: int) -> Path:
    """Return where the row of a dense network lies."""
    return seed_folder(work, seed) / network / "dense.json"
