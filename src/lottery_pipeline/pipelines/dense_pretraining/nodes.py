"""Nodes of dense pretraining."""

from functools import partial
from typing import Any

from lottery_pipeline.parameters import ModelParameters, PretrainingParameters
from lottery_pipeline.reproducibility.measured import set_apart
from lottery_pipeline.tracking import current


def pretrain_dense(
    images: Any,
    stored: Any,
    model: ModelParameters,
    pretraining: PretrainingParameters,
    seed: int,
    device: str,
    checkpoints: Any,
) -> tuple[Any, list[dict[str, Any]], dict[str, Any]]:
    """Train the full network, or return the stored dense run if it is the one asked for."""
    from lottery_pipeline.models.spec import ModelSpec
    from lottery_pipeline.training.dense import pretrain
    from lottery_pipeline.training.history import CLOCK_COLUMNS

    run = pretrain(
        images,
        ModelSpec(
            name=model.name,
            ignore_layers=model.ignore_layers,
            num_classes=images.num_classes,
            channels=images.channels,
            image_size=images.image_size,
            mean=images.mean,
            std=images.std,
        ),
        pretraining.recipe(),
        rewind_epoch=pretraining.rewind_epoch,
        seed=seed,
        device=device,
        checkpoints=checkpoints,
        on_record=partial(current().log_record, "dense.history"),
        stored=stored,
        allow_factory=model.name,
    )
    return run, run.history, set_apart(run.metrics, CLOCK_COLUMNS)
