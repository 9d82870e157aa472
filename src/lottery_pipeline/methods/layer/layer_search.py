"""What the search for a layer ticket is told and has found, and networks without some blocks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from lottery_pipeline import __version__
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.blocks import list_blocks
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options.layer import LayerOptions
from lottery_pipeline.reproducibility.fingerprints import fingerprint
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import State


@dataclass(frozen=True)
class LayerSearch:
    """What a search is told; nothing here changes. The fields are arguments of ``extract_layer``."""

    images: ImageSplits
    dense: DenseRun
    recipe: Recipe
    options: LayerOptions
    seed: int
    device: str
    allow_factory: str | None

    @property
    def fingerprint(self) -> str:
        """Of the checkpoint of an iterative search; rewinding comes after it and is left out."""
        options = self.options.model_dump(mode="json", exclude={"rewinding", "start"})
        return fingerprint(
            {
                "computation": "layer",
                "version": __version__,
                "dense": self.dense.fingerprint,
                "images": self.images.fingerprint,
                "recipe": self.recipe.record(),
                "options": options,
                "seed": self.seed,
            }
        )

    @property
    def fine_tuning(self) -> Recipe:
        """The recipe of a fine-tuning: that of the retraining, short and at a constant rate."""
        return self.recipe.replace(
            epochs=self.options.fine_tuning_epochs,
            learning_rate=self.options.fine_tuning_rate,
            schedule="constant",
            warmup_epochs=0.0,
        )


@dataclass
class Removal:
    """What a search has found so far.

    Attributes:
        gone: blocks taken out, in the order of their going.
        state: of the network that is left: theta_T, or fine-tuned.
        trace: a row for each candidate of each round.
        histories: rows of each fine-tuning.
        epochs: cost, as of ``Extraction``.
        seconds: their time.
    """

    state: State
    gone: list[str] = field(default_factory=list)
    trace: list[dict[str, Any]] = field(default_factory=list)
    histories: list[list[dict[str, Any]]] = field(default_factory=list)
    epochs: float = 0.0
    seconds: float = 0.0


def without_blocks(spec: ModelSpec, names: Iterable[str], allow_factory: str | None = None) -> ModelSpec:
    """Return a specification without blocks, those it lacks already included, in network order."""
    gone = {*spec.removed_blocks, *names}
    full = build_model(spec.restored(), seed=0, device="meta", allow_factory=allow_factory)
    removed = tuple(block.name for block in list_blocks(full) if block.name in gone)
    behind = tuple(f"{name}." for name in removed)
    narrowed = tuple(entry for entry in spec.narrowed if not entry[0].startswith(behind))
    return spec.model_copy(update={"removed_blocks": removed, "narrowed": narrowed})


def keep_tensors(state: Mapping[str, Tensor], names: Iterable[str]) -> State:
    """Return the tensors of a smaller network, which have the names they have in the larger one."""
    return {name: state[name] for name in names}
