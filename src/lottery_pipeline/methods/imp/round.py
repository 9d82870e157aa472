"""One round of iterative magnitude pruning: a training from the start point, and its row of the ladder."""

from functools import partial
from typing import Any

from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.search.extraction import Search, StartPoint
from lottery_pipeline.sparsity.masks import Masks
from lottery_pipeline.training.evaluation import evaluate
from lottery_pipeline.training.history import least_validation_loss
from lottery_pipeline.training.loop import Training, train


def train_rung(
    method: str, search: Search, start: StartPoint, rung: int, masks: Masks
) -> tuple[Training, dict[str, Any]]:
    """Train the masked network from the start point; returns the training and the results for its row."""
    images, on_record, label = search.images, search.on_record, label_round(rung)
    model = search.build(start.state)
    training = train(
        model,
        images,
        search.recipe,
        seed=derive_seed(search.seed, "round", rung),
        masks=masks,
        start_step=start.step,
        device=search.device,
        checkpoints=search.checkpoints,
        on_record=None if on_record is None else partial(on_record, label),
        label=f"{method} {label}",
    )
    row = {
        "test_accuracy": evaluate(model, images.test, device=search.place)["accuracy"],
        "validation_accuracy": training.history[-1]["validation_accuracy"],
        "early_stop_step": training.early_stop_step,
        "early_stop_validation_loss": least_validation_loss(training.history),
        "epochs": training.epochs,
        "seconds": training.seconds,
    }
    return training, row


def describe_dense_run(search: Search, start: StartPoint) -> dict[str, Any]:
    """Row 0 from the dense run; its cost is the share of that run after the start point."""
    dense, images = search.dense, len(search.images.train)
    steps = search.recipe.total_steps(images)
    share = (steps - start.step) / steps
    return {
        "test_accuracy": dense.metrics["test_accuracy"],
        "validation_accuracy": dense.metrics["validation_accuracy"],
        "early_stop_step": dense.metrics["early_stop_step"],
        "early_stop_validation_loss": least_validation_loss(dense.history),
        "epochs": (steps - start.step)
        / search.recipe.steps_per_epoch(images)
        * search.recipe.passes_per_step(),
        "seconds": share * dense.metrics["seconds"],
    }


def label_round(rung: int) -> str:
    """Name of a round in records and progress lines."""
    return f"round_{rung:02d}"
