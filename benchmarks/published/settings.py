"""The settings of the published study: the published one, variants of it, and the smallest one, for tests."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from lottery_pipeline.options import CtsOptions
from lottery_pipeline.options.mask_search import Length
from lottery_pipeline.training.recipe import Precision, Recipe


@dataclass(frozen=True)
class Setting:
    """What is trained and searched.

    Attributes:
        recipe: of every training.
        rewind_epoch: k of theta_k, where every ticket starts.
        length: of the mask search.
        search_precision: of the network in the mask search.
        gates: form of the Binary Concrete sample in the mask search.
        headline: the rung whose rows come first.
        rungs: rung r keeps 0.8^r of the weights.
        seeds: the first one has its rows first.
        synflow_rounds: rounds of SynFlow.
        digits: number of training images, if the images are the digits of scikit-learn.
    """

    recipe: Recipe
    rewind_epoch: int
    length: Length
    search_precision: Precision
    headline: int
    rungs: tuple[int, ...]
    seeds: tuple[int, ...]
    synflow_rounds: int = 100
    gates: Literal["tlab", "standard"] = "tlab"
    digits: int | None = None

    def search_options(self, density: float, objective: str) -> CtsOptions:
        """Return the options of a mask search."""
        values: dict[str, Any] = {"density": density, "objective": objective, "length": self.length}
        values |= {"precision": self.search_precision, "concrete_form": self.gates}
        return CtsOptions.model_validate(values)


# Searched in float32, as in the authors' code, which has no autocast there.
PUBLISHED = Setting(
    recipe=Recipe(name="tlab"),
    rewind_epoch=9,
    length="half",
    search_precision="float32",
    headline=22,
    rungs=(6, 14, 18, 22, 26),
    seeds=(0, 1, 2),
)
# One thing is changed at a time, to be tried if level or order of the published figures are missed.
VARIANT = replace(PUBLISHED, rungs=(22,), seeds=(0,))
SETTINGS = {
    "published": PUBLISHED,
    "rewind_5": replace(VARIANT, rewind_epoch=5),
    "rewind_15": replace(VARIANT, rewind_epoch=15),
    "mean_loss": replace(VARIANT, recipe=Recipe(name="tlab", loss_reduction="mean", clip_norm=None)),
    "small_decay": replace(
        VARIANT, recipe=Recipe(name="tlab", loss_reduction="mean", clip_norm=None, weight_decay=1e-4)
    ),
    "float32": replace(VARIANT, recipe=Recipe(name="tlab", precision="float32")),
    "long_search": replace(VARIANT, length="long"),
    "standard_gates": replace(VARIANT, gates="standard"),
    "smallest": Setting(
        recipe=Recipe(name="tlab", epochs=4, milestones=(2, 3), batch_size=64, crop_padding=1),
        rewind_epoch=1,
        length="half",
        search_precision="float32",
        headline=6,
        rungs=(2, 6),
        seeds=(0, 1),
        synflow_rounds=5,
        digits=200,
    ),
}
