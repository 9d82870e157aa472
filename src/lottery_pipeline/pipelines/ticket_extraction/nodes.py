"""Nodes of the methods, the same for all: extract, retrain, evaluate; and the nodes beside them."""

import logging
from collections.abc import Callable
from functools import partial, wraps
from inspect import signature
from typing import Any

from lottery_pipeline.evaluation.lineage import check_record, check_rows, mark_record, mark_rows, name_run
from lottery_pipeline.options import METHODS, ControlOptions, CostOptions, Method, SuperticketOptions
from lottery_pipeline.parameters import (
    ModelParameters,
    PretrainingParameters,
    RetrainingParameters,
    WorkParameters,
)
from lottery_pipeline.reproducibility.measured import flatten_record
from lottery_pipeline.tracking import current

logger = logging.getLogger(__name__)

Rows = list[dict[str, Any]]


def extract_ticket(
    method: str,
    images: Any,
    dense_run: Any,
    extraction: Any,
    model: ModelParameters,
    pretraining: PretrainingParameters,
    retraining: RetrainingParameters,
    seed: int,
    device: str,
    work: WorkParameters,
    match: Any = None,
    parent: Any = None,
    parent_run: Any = None,
    parent_search: dict[str, Any] | None = None,
) -> tuple[Any, ...]:
    """Find a ticket by a method: ticket, costs, trace, and the ladder if there is one.

    ``match`` is a ticket whose size this one must have, or a dense run whose weights its density counts. With
    a ``parent`` the search is within that ticket.
    """
    from lottery_pipeline.methods import METHODS
    from lottery_pipeline.search.composition import adopt
    from lottery_pipeline.search.extraction import Search

    search = Search(
        images,
        dense_run if parent is None else parent_run,
        retraining.recipe(pretraining),
        seed,
        device=device,
        checkpoints=work.open_checkpoints(),
        on_record=partial(current().log_row, method if parent is None else f"{parent.method}_{method}"),
        # The name this run was given, not the one in the file of the dense run: that could name any code.
        allow_factory=model.name,
        match=None if match is None else match.spec,
    )
    found = METHODS[method](search, extraction)
    if parent is not None:
        costs = check_record(f"{parent.method}.search", parent_search or {}, parent.fingerprint)
        found = adopt(found, parent, parent_run, dense_run, **flatten_record(costs))
    results = (found.ticket, mark_record(found.record(), found.ticket.fingerprint), found.trace)
    return results if found.ladder is None else (*results, found.ladder)


def bind_method(method: Method) -> Callable[..., Any]:
    """Return ``extract_ticket`` for one method; Kedro reads the type of the options from its annotations."""

    @wraps(extract_ticket)  # Kedro-Viz shows the source of the wrapped function
    def extract(*inputs: Any, **named: Any) -> tuple[Any, ...]:
        return extract_ticket(method.name, *inputs, **named)

    extract.__signature__ = signature(partial(extract_ticket, method.name))  # type: ignore[attr-defined]
    extract.__annotations__ = {**extract_ticket.__annotations__, "extraction": method.options}
    extract.__name__ = extract.__qualname__ = f"extract_{method.name}"
    return extract


EXTRACTIONS = {name: bind_method(method) for name, method in METHODS.items()}
# The workers of a parallel runner find a function by its name in this module.
globals().update({function.__name__: function for function in EXTRACTIONS.values()})


def pretrain_supernet(
    images: Any,
    dense_run: Any,
    extraction: SuperticketOptions,
    model: ModelParameters,
    pretraining: PretrainingParameters,
    retraining: RetrainingParameters,
    seed: int,
    device: str,
    work: WorkParameters,
) -> Any:
    """Train the whole supernet, which a SuperTicket is compared with, or return the stored run."""
    from lottery_pipeline.methods.supertickets.network import specify_supernet
    from lottery_pipeline.methods.supertickets.supertickets import plan_search
    from lottery_pipeline.training.dense import pretrain
    from lottery_pipeline.training.dense_file import find_dense_run

    spec = specify_supernet(dense_run.spec, extraction, images.task)
    # Refuses a plan that cannot work before the supernet is trained.
    plan_search(
        spec,
        images,
        retraining.recipe(pretraining),
        extraction,
        seed=seed,
        match=dense_run.spec,
        allow_factory=model.name,
    )
    file = work.models / "supertickets" / "parent_run.safetensors"
    stored = [run for run in (dense_run, find_dense_run(file)) if run is not None and run.spec == spec]
    run = pretrain(
        images,
        spec,
        pretraining.recipe(),
        rewind_epoch=pretraining.rewind_epoch,
        seed=seed,
        device=device,
        checkpoints=work.open_checkpoints(),
        on_record=partial(current().log_row, "supertickets", "supernet"),
        stored=stored[0] if stored else None,
        label="supernet",
    )
    if run in stored:
        current().note_reuse("supertickets.parent_run", run.fingerprint)
    return run


def describe_architecture(ticket: Any) -> dict[str, Any]:
    """Write down the architecture of a SuperTicket, so that ``model.name`` can take it up."""
    from lottery_pipeline.evaluation import architecture

    return architecture.describe_architecture(ticket)


def tabulate_blocks(architecture: dict[str, Any], ticket: Any) -> Rows:
    """Print the architecture as one table, block by block, and keep the table for the report."""
    from lottery_pipeline.evaluation.architecture import print_blocks

    logger.info("The architecture found:\n%s", print_blocks(architecture["blocks"]))
    return mark_rows(architecture["blocks"], ticket.fingerprint)


def retrain_ticket(
    ticket: Any,
    images: Any,
    pretraining: PretrainingParameters,
    retraining: RetrainingParameters,
    seed: int,
    device: str,
    work: WorkParameters,
) -> tuple[Any, Rows]:
    """Train a ticket from its start weights, its mask on."""
    from lottery_pipeline.evaluation.retraining import retrain_ticket as retrain

    trained = retrain(
        ticket,
        images,
        retraining.recipe(pretraining),
        seed=seed,
        device=device,
        checkpoints=work.open_checkpoints(),
        on_record=partial(current().log_row, name_run(ticket.method), "training"),
    )
    return trained.ticket, mark_rows(trained.history, trained.ticket.fingerprint)


def evaluate_ticket(
    trained_ticket: Any,
    ticket: Any,
    images: Any,
    dense_run: Any,
    history: Rows,
    search: dict[str, Any],
    costs: CostOptions,
    device: str,
) -> dict[str, Any]:
    """Measure a trained ticket against its dense parent: how well it does, and at what cost."""
    from lottery_pipeline.evaluation.metrics import evaluate_ticket as evaluate

    name = name_run(ticket.method)
    metrics = evaluate(
        trained_ticket,
        ticket,
        images,
        dense_run,
        history=check_rows(f"{name}.history", history, trained_ticket.fingerprint),
        device=device,
        costs=costs,
        **flatten_record(check_record(f"{name}.search", search, ticket.fingerprint)),
    )
    return mark_record(metrics, ticket.fingerprint)


def complete_ladder(ladder: Any, metrics: dict[str, Any]) -> Rows:
    """Put the rungs of the search and the retrained last rung into one table."""
    from lottery_pipeline.tickets.ladder import complete_rows

    check_record(f"{ladder.header.method}.metrics", metrics, ladder.ticket(-1).fingerprint)
    return mark_rows(complete_rows(ladder, metrics), metrics["fingerprint"])


def train_controls(
    ladder: Any,
    images: Any,
    dense_run: Any,
    controls: ControlOptions,
    pretraining: PretrainingParameters,
    retraining: RetrainingParameters,
    seed: int,
    device: str,
    work: WorkParameters,
) -> Rows:
    """Train what a ticket must beat: random masks and fresh weights, at the same density."""
    from lottery_pipeline.evaluation.controls import train_controls as train

    rows = train(
        ladder,
        images,
        dense_run,
        retraining.recipe(pretraining),
        rungs=controls.rungs,
        kinds=controls.kinds,
        seed=seed,
        device=device,
        checkpoints=work.open_checkpoints(),
        on_record=partial(current().log_row, ladder.header.method),
        concurrency=work.concurrency,
    )
    return mark_rows(rows, ladder.ticket(-1).fingerprint)


def pretrain_parent(
    ticket: Any,
    images: Any,
    pretraining: PretrainingParameters,
    retraining: RetrainingParameters,
    seed: int,
    device: str,
    work: WorkParameters,
) -> Any:
    """Train a ticket as the dense network of the methods on top of it, or return the stored run."""
    from lottery_pipeline.search.composition import pretrain_parent as pretrain
    from lottery_pipeline.training.dense_file import find_dense_run

    stored = find_dense_run(work.models / ticket.method / "parent_run.safetensors")
    run = pretrain(
        ticket,
        images,
        retraining.recipe(pretraining),
        rewind_epoch=pretraining.rewind_epoch,
        seed=seed,
        device=device,
        checkpoints=work.open_checkpoints(),
        on_record=partial(current().log_row, "", "parent"),
        stored=stored,
    )
    if run is stored:
        current().note_reuse(f"{ticket.method}.parent_run", run.fingerprint)
    return run
