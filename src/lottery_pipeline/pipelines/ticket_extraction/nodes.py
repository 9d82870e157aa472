"""Nodes of the methods: one ``extract_*`` for each, the rest for all."""

from collections.abc import Callable
from functools import partial
from typing import Any

from lottery_pipeline.options import ControlOptions, ImpOptions
from lottery_pipeline.parameters import ModelParameters, PretrainingParameters, RetrainingParameters
from lottery_pipeline.tracking import current

Rows = list[dict[str, Any]]


def extract_lth(
    images: Any,
    dense_run: Any,
    extraction: ImpOptions,
    model: ModelParameters,
    pretraining: PretrainingParameters,
    retraining: RetrainingParameters,
    seed: int,
    device: str,
    checkpoints: Any,
) -> tuple[Any, dict[str, Any], Rows, Any]:
    """Find an LTH ticket: rounds of magnitude pruning, survivors reset to initialisation."""
    from lottery_pipeline.tickets import extract_lth as extract

    recipe = retraining.recipe(pretraining)
    return _search_by_rounds(
        "lth", extract, images, dense_run, recipe, extraction, model.name, seed, device, checkpoints
    )


def extract_ltr(
    images: Any,
    dense_run: Any,
    extraction: ImpOptions,
    model: ModelParameters,
    pretraining: PretrainingParameters,
    retraining: RetrainingParameters,
    seed: int,
    device: str,
    checkpoints: Any,
) -> tuple[Any, dict[str, Any], Rows, Any]:
    """Find an LTR ticket: rounds of magnitude pruning, survivors rewound to early training."""
    from lottery_pipeline.tickets import extract_ltr as extract

    recipe = retraining.recipe(pretraining)
    return _search_by_rounds(
        "ltr", extract, images, dense_run, recipe, extraction, model.name, seed, device, checkpoints
    )


def _search_by_rounds(
    method: str,
    extract: Callable[..., Any],
    images: Any,
    dense_run: Any,
    recipe: Any,
    options: ImpOptions,
    model_name: str,
    seed: int,
    device: str,
    checkpoints: Any,
) -> tuple[Any, dict[str, Any], Rows, Any]:
    found = extract(
        images,
        dense_run,
        recipe,
        seed=seed,
        options=options,
        device=device,
        checkpoints=checkpoints,
        on_record=partial(current().log_search, method),
        # The name this run was given, not the one in the file of the dense run: that could name any code.
        allow_factory=model_name,
    )
    return found.ticket, found.costs, found.trace, found.ladder


def retrain_ticket(
    ticket: Any,
    images: Any,
    pretraining: PretrainingParameters,
    retraining: RetrainingParameters,
    seed: int,
    device: str,
    checkpoints: Any,
) -> tuple[Any, Rows]:
    """Train a ticket from its start weights, its mask on."""
    from lottery_pipeline.tickets.retraining import retrain_ticket as retrain

    trained = retrain(
        ticket,
        images,
        retraining.recipe(pretraining),
        seed=seed,
        device=device,
        checkpoints=checkpoints,
        on_record=partial(current().log_record, f"{ticket.method}.history"),
    )
    return trained.ticket, trained.history


def evaluate_ticket(
    trained_ticket: Any,
    ticket: Any,
    images: Any,
    dense_run: Any,
    history: Rows,
    search: dict[str, Any],
    device: str,
) -> dict[str, Any]:
    """Measure a trained ticket against its dense parent."""
    from lottery_pipeline.tickets.retraining import evaluate_ticket as evaluate

    return evaluate(trained_ticket, ticket, images, dense_run, history=history, device=device, **search)


def complete_ladder(ladder: Any, metrics: dict[str, Any]) -> Rows:
    """Put the rungs of the search and the retrained last rung into one table."""
    from lottery_pipeline.tickets.ladder import complete_rows

    return complete_rows(ladder, metrics)


def train_controls(
    ladder: Any,
    images: Any,
    dense_run: Any,
    controls: ControlOptions,
    pretraining: PretrainingParameters,
    retraining: RetrainingParameters,
    seed: int,
    device: str,
    checkpoints: Any,
) -> Rows:
    """Train what a ticket must beat: random masks and fresh weights, at the same density."""
    from lottery_pipeline.tickets.controls import train_controls as train

    return train(
        ladder,
        images,
        dense_run,
        retraining.recipe(pretraining),
        rungs=controls.rungs,
        kinds=controls.kinds,
        seed=seed,
        device=device,
        checkpoints=checkpoints,
        on_record=partial(current().log_search, ladder.header.method),
    )
