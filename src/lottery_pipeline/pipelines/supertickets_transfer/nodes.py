"""Nodes of the transfer of SuperTickets between tasks."""

from functools import partial
from pathlib import Path
from typing import Any

from lottery_pipeline.options import SuperticketOptions
from lottery_pipeline.options.supertickets_transfer import TransferOptions
from lottery_pipeline.parameters import (
    DataParameters,
    PretrainingParameters,
    RetrainingParameters,
    WorkParameters,
)
from lottery_pipeline.tracking import current

BLOCK = "supertickets_transfer"

Rows = list[dict[str, Any]]


def prepare_tasks(
    raw_images: Path, images: Any, data: DataParameters, supertickets_transfer: TransferOptions, seed: int
) -> dict[str, Any]:
    """Prepare the images with the labels of each task; the pixels are the same."""
    from lottery_pipeline.images.preparation import prepare_images

    def prepare(task: str) -> Any:
        if task == images.task:
            return images
        request = DataParameters.model_validate(data.model_dump() | {"task": task, "storage": "memory"})
        return prepare_images(request.resolve(raw_images), seed=seed)

    return {task: prepare(task) for task in supertickets_transfer.tasks}


def train_transfers(
    raw_images: Path,
    images: Any,
    dense_run: Any,
    supertickets_transfer: TransferOptions,
    extraction: SuperticketOptions,
    data: DataParameters,
    pretraining: PretrainingParameters,
    retraining: RetrainingParameters,
    seed: int,
    device: str,
    work: WorkParameters,
) -> Rows:
    """Find a SuperTicket for each task and move it to the others, with every seed."""
    from lottery_pipeline.evaluation.transfer_rows import TransferStudy, study_transfer
    from lottery_pipeline.methods.supertickets import extract_supertickets
    from lottery_pipeline.methods.supertickets.network import specify_supernet

    study = TransferStudy(
        prepare_tasks(raw_images, images, data, supertickets_transfer, seed),
        specify_supernet(dense_run.spec, extraction, images.task),
        retraining.recipe(pretraining),
        extraction,
        supertickets_transfer,
        extract_supertickets,
        device=device,
    )
    log, checkpoints = partial(current().log_row, BLOCK), work.open_checkpoints()
    return [
        row
        for number in supertickets_transfer.seeds
        for row in study_transfer(study, seed=number, checkpoints=checkpoints, on_record=log)
    ]


def summarise_transfers(rows: Rows) -> tuple[Any, Any]:
    """Summarise the transfers over seeds, in a table and a figure."""
    import pandas

    from lottery_pipeline.evaluation import study_summaries
    from lottery_pipeline.reporting.figures import draw_transfers

    summary = study_summaries.summarise_transfer(rows)
    return pandas.DataFrame(summary, columns=list(study_summaries.TRANSFER_COLUMNS)), draw_transfers(summary)


def record_transfers(
    rows: Rows,
    table: Any,  # noqa: ARG001 (drawn inside)
    figure: Any,  # noqa: ARG001
    device: str,
) -> dict[str, Any]:
    """Put rows, summary and the mean accuracies into one record, with how they were computed."""
    from lottery_pipeline.evaluation import study_summaries
    from lottery_pipeline.training.device import describe_device

    summary = study_summaries.summarise_transfer(rows)
    metrics = {
        f"{line['arm']}_accuracy/{line['source']}_to_{line['target']}": line["accuracy"] for line in summary
    }
    arithmetic = describe_device(device)
    return {"metrics": metrics, "rows": rows, "summary": summary, "arithmetic": arithmetic}
