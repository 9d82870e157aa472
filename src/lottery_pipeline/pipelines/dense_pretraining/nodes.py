"""Nodes of dense pretraining."""

import logging
from functools import partial
from typing import Any

from lottery_pipeline.parameters import ModelParameters, PretrainingParameters, WorkParameters
from lottery_pipeline.reproducibility.measured import set_apart
from lottery_pipeline.tracking import current

logger = logging.getLogger(__name__)


def pretrain_dense(
    images: Any,
    model: ModelParameters,
    pretraining: PretrainingParameters,
    seed: int,
    device: str,
    work: WorkParameters,
) -> tuple[Any, dict[str, Any]]:
    """Train the full network, or return the stored dense run if it is the one asked for."""
    from lottery_pipeline.models.choice import specify_model
    from lottery_pipeline.models.uncounted import find_uncounted
    from lottery_pipeline.models.weights.record import describe_weights
    from lottery_pipeline.training.dense import pretrain
    from lottery_pipeline.training.dense_file import find_dense_run
    from lottery_pipeline.training.history import CLOCK_COLUMNS
    from lottery_pipeline.training.theta_0 import read_theta_0

    stored = find_dense_run(work.models / "dense_run.safetensors")
    mean, std = model.find_statistics(images.channels) or (images.mean, images.std)
    spec = specify_model(
        model.name,
        ignore_layers=model.ignore_layers,
        num_classes=images.num_classes,
        channels=images.channels,
        image_size=images.image_size,
        mean=mean,
        std=std,
        task=images.task,
    )
    brought: dict[str, Any] = {}
    if model.weights is not None:
        theta_0 = read_theta_0(spec, model.weights, seed=seed, allow_factory=model.name)
        logger.info(describe_weights(theta_0.record))
        brought = {"initial": theta_0.state, "weights": theta_0.record}
    run = pretrain(
        images,
        spec,
        pretraining.recipe(),
        rewind_epoch=pretraining.rewind_epoch,
        seed=seed,
        device=device,
        checkpoints=work.open_checkpoints(),
        on_record=partial(current().log_row, "", "dense"),
        stored=stored,
        allow_factory=model.name,
        **brought,
    )
    if run is stored:
        current().note_reuse("dense_run", run.fingerprint)
    metrics = run.metrics | {"fingerprint": run.fingerprint, "arithmetic": run.arithmetic}
    uncounted = [row._asdict() for row in find_uncounted(run.spec, allow_factory=model.name)]
    record = {"metrics": set_apart(metrics, CLOCK_COLUMNS), "history": run.history}
    record |= {"uncounted": uncounted} if uncounted else {}
    record |= {} if images.storage == "memory" else {"storage": images.storage}
    record |= {"weights": brought["weights"].model_dump(mode="json")} if brought else {}
    return run, record
