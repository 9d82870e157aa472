"""The settings of the published study: the published one, and the smallest one, which tests run on a CPU."""

from dataclasses import dataclass

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
    digits: int | None = None

    def search_options(self, density: float, objective: str) -> CtsOptions:
        """Return the options of a mask search."""
        values = {"density": density, "objective": objective, "length": self.length}
        return CtsOptions.model_validate({**values, "precision": self.search_precision})


SETTINGS = {
    # Searched in float32, as in the authors' code, which has no autocast there.
    "published": Setting(
        recipe=Recipe(name="tlab"),
        rewind_epoch=9,
        length="half",
        search_precision="float32",
        headline=22,
        rungs=(6, 14, 18, 22, 26),
        seeds=(0, 1, 2),
    ),
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
