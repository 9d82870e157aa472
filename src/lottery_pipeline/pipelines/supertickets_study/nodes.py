"""Nodes of the SuperTickets study."""

from functools import partial
from typing import Any

from lottery_pipeline.options import SuperticketOptions
from lottery_pipeline.options.supertickets_study import StudyOptions
from lottery_pipeline.parameters import (
    ModelParameters,
    PretrainingParameters,
    RetrainingParameters,
    WorkParameters,
)
from lottery_pipeline.tracking import current

BLOCK = "supertickets_study"

Rows = list[dict[str, Any]]


def train_arms(
    images: Any,
    dense_run: Any,
    supertickets_study: StudyOptions,
    extraction: SuperticketOptions,
    model: ModelParameters,
    pretraining: PretrainingParameters,
    retraining: RetrainingParameters,
    device: str,
    work: WorkParameters,
) -> Rows:
    """Train every arm of the study with every seed."""
    from lottery_pipeline.evaluation.superticket_arms import ArmStudy, study_arms
    from lottery_pipeline.methods.supertickets import extract_supertickets
    from lottery_pipeline.methods.supertickets.network import specify_supernet

    study = ArmStudy(
        images,
        specify_supernet(dense_run.spec, extraction, images.task),
        retraining.recipe(pretraining),
        extraction,
        supertickets_study,
        extract_supertickets,
        device=device,
        match=dense_run.spec,
        # The name this run was given, not the one in the file of the dense run: that could name any code.
        allow_factory=model.name,
    )
    log, checkpoints = partial(current().log_row, BLOCK), work.open_checkpoints()
    return [
        row
        for seed in supertickets_study.seeds
        for row in study_arms(study, seed=seed, checkpoints=checkpoints, on_record=log)
    ]


def summarise_arms(rows: Rows) -> tuple[Any, Any]:
    """Summarise the arms over seeds, in a table and a figure."""
    import pandas

    from lottery_pipeline.evaluation import study_summaries
    from lottery_pipeline.reporting.figures import draw_arms

    summary = study_summaries.summarise_arms(rows)
    return pandas.DataFrame(summary, columns=list(study_summaries.ARM_COLUMNS)), draw_arms(summary, rows)


def record_study(
    rows: Rows,
    table: Any,  # noqa: ARG001 (drawn inside)
    figure: Any,  # noqa: ARG001
    device: str,
) -> dict[str, Any]:
    """Put rows, summary and the mean accuracies into one record, with how they were computed."""
    from lottery_pipeline.evaluation import study_summaries
    from lottery_pipeline.training.device import describe_device

    summary = study_summaries.summarise_arms(rows)
    metrics = {f"{line['state']}_accuracy/{line['arm']}": line["accuracy"] for line in summary}
    arithmetic = describe_device(device)
    return {"metrics": metrics, "rows": rows, "summary": summary, "arithmetic": arithmetic}
