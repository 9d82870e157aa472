"""One round of iterative magnitude pruning: a training from the start point, and its row of the ladder."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from lottery_pipeline import __version__
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options import ImpOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.search.extraction import least_validation_loss
from lottery_pipeline.sparsity.masks import Masks
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.evaluation import evaluate
from lottery_pipeline.training.loop import Training, train
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import OnLabelledRecord, State


@dataclass(frozen=True)
class Search:
    """What a search is told; nothing here changes."""

    method: str
    images: ImageSplits
    dense: DenseRun
    recipe: Recipe
    options: ImpOptions
    seed: int
    start_step: int
    start: State
    device: str
    allow_factory: str | None

    @property
    def fingerprint(self) -> str:
        """The method's name is left out: LTR rewound to step 0 is LTH."""
        return fingerprint(
            {
                "computation": "imp",
                "version": __version__,
                "dense": self.dense.fingerprint,
                "images": self.images.fingerprint,
                "recipe": self.recipe.record(),
                "options": self.options.model_dump(mode="json"),
                "seed": self.seed,
                "start_step": self.start_step,
            }
        )


def train_rung(
    search: Search,
    rung: int,
    masks: Masks,
    checkpoints: Checkpoints | None,
    on_record: OnLabelledRecord | None,
) -> tuple[Training, dict[str, Any]]:
    """Train the masked network from the start point; returns the training and the results for its row."""
    spec, images = search.dense.spec, search.images
    model = build_model(spec, seed=0, allow_factory=search.allow_factory)
    model.load_state_dict(search.start)
    label = label_round(rung)
    training = train(
        model,
        images,
        search.recipe,
        seed=derive_seed(search.seed, "round", rung),
        masks=masks,
        start_step=search.start_step,
        device=search.device,
        checkpoints=checkpoints,
        on_record=None if on_record is None else partial(on_record, label),
        label=f"{search.method} {label}",
    )
    row = {
        "test_accuracy": evaluate(model, images.test, device=pick_device(search.device))["accuracy"],
        "validation_accuracy": training.history[-1]["validation_accuracy"],
        "early_stop_step": training.early_stop_step,
        "early_stop_validation_loss": least_validation_loss(training.history),
        "epochs": training.epochs,
        "seconds": training.seconds,
    }
    return training, row


def describe_dense_run(search: Search) -> dict[str, Any]:
    """Row 0 out of the dense run; its cost is the share of it that lies after the start point."""
    dense, images = search.dense, len(search.images.train)
    steps = search.recipe.total_steps(images)
    share = (steps - search.start_step) / steps
    return {
        "test_accuracy": dense.metrics["test_accuracy"],
        "validation_accuracy": dense.metrics["validation_accuracy"],
        "early_stop_step": dense.metrics["early_stop_step"],
        "early_stop_validation_loss": least_validation_loss(dense.history),
        "epochs": (steps - search.start_step) / search.recipe.steps_per_epoch(images),
        "seconds": share * dense.metrics["seconds"],
    }


def label_round(rung: int) -> str:
    """Name of a round in records and progress lines."""
    return f"round_{rung:02d}"
