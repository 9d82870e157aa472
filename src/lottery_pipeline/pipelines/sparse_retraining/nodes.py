"""Nodes of sparse retraining."""

from functools import partial
from typing import Any

from lottery_pipeline.evaluation.lineage import mark_rows
from lottery_pipeline.parameters import PretrainingParameters, SparseRetrainingParameters, WorkParameters
from lottery_pipeline.reproducibility.measured import MEASURED
from lottery_pipeline.tracking import current


def select_ticket(
    ticket: Any, ladder: Any, search: dict[str, Any] | None, sparse_retraining: SparseRetrainingParameters
) -> tuple[Any, dict[str, Any]]:
    """Take the stored ticket or a rung of its ladder, with the cost of the search up to it."""
    rung = sparse_retraining.rung
    if rung is None:
        return ticket, search or {}
    rows = ladder.rows[:rung]
    costs = {
        "search_epochs": sum(row["epochs"] for row in rows),
        MEASURED: {"search_seconds": sum(row["seconds"] for row in rows)},
    }
    return ladder.ticket(rung), costs


def retrain_ticket(
    ticket: Any,
    images: Any,
    pretraining: PretrainingParameters,
    sparse_retraining: SparseRetrainingParameters,
    seed: int,
    device: str,
    work: WorkParameters,
) -> tuple[Any, list[dict[str, Any]]]:
    """Train the chosen ticket from its start weights, its mask on."""
    from lottery_pipeline.evaluation.retraining import retrain_ticket as retrain

    trained = retrain(
        ticket,
        images,
        sparse_retraining.recipe(pretraining),
        seed=seed,
        device=device,
        checkpoints=work.open_checkpoints(),
        on_record=partial(current().log_row, "sparse_retraining", "training"),
    )
    return trained.ticket, mark_rows(trained.history, trained.ticket.fingerprint)
