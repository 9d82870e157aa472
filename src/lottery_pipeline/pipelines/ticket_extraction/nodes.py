"""Nodes of the methods: one ``extract_*`` for each, all of one make, and the rest for all."""

from collections.abc import Callable
from functools import partial
from typing import Any

from lottery_pipeline.options import METHOD_OPTIONS, ControlOptions, CostOptions
from lottery_pipeline.parameters import ModelParameters, PretrainingParameters, RetrainingParameters
from lottery_pipeline.tracking import current

Rows = list[dict[str, Any]]


def _make_extraction(method: str) -> Callable[..., Any]:
    """Make the node function of a method; Kedro reads from its signature what type the parameters have.

    ``match`` is a ticket whose size the one to be found shall have.
    """

    def extract_ticket(
        images: Any,
        dense_run: Any,
        extraction: Any,
        model: ModelParameters,
        pretraining: PretrainingParameters,
        retraining: RetrainingParameters,
        seed: int,
        device: str,
        checkpoints: Any,
        match: Any = None,
    ) -> tuple[Any, ...]:
        from lottery_pipeline.methods import METHODS

        found = METHODS[method](
            images,
            dense_run,
            retraining.recipe(pretraining),
            seed=seed,
            options=extraction,
            device=device,
            checkpoints=checkpoints,
            on_record=partial(current().log_search, method),
            # The name this run was given, not the one in the file of the dense run: that could name any code.
            allow_factory=model.name,
            **({} if match is None else {"match": match.header.spec}),
        )
        results = (found.ticket, found.costs, found.trace)
        return results if found.ladder is None else (*results, found.ladder)

    extract_ticket.__annotations__["extraction"] = METHOD_OPTIONS[method]
    # Found under this name in this module, as a runner with worker processes needs it.
    extract_ticket.__name__ = extract_ticket.__qualname__ = f"extract_{method}"
    extract_ticket.__doc__ = (
        f"Find a ticket by {method}: ticket, costs, trace, and the ladder if there is one."
    )
    return extract_ticket


extract_lth = _make_extraction("lth")
extract_ltr = _make_extraction("ltr")
extract_cts = _make_extraction("cts")
extract_snip = _make_extraction("snip")
extract_grasp = _make_extraction("grasp")
extract_synflow = _make_extraction("synflow")
extract_magnitude = _make_extraction("magnitude")
extract_random = _make_extraction("random")
extract_edge_popup = _make_extraction("edge_popup")
extract_gem_miner = _make_extraction("gem_miner")
extract_prospr = _make_extraction("prospr")
extract_layer = _make_extraction("layer")
extract_filter = _make_extraction("filter")


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
    from lottery_pipeline.evaluation.retraining import retrain_ticket as retrain

    trained = retrain(
        ticket,
        images,
        retraining.recipe(pretraining),
        seed=seed,
        device=device,
        checkpoints=checkpoints,
        # As the namespace is called; MLflow's names take no ">".
        on_record=partial(current().log_record, f"{ticket.method.replace('>', '_')}.history"),
    )
    return trained.ticket, trained.history


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

    return evaluate(
        trained_ticket, ticket, images, dense_run, history=history, device=device, costs=costs, **search
    )


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
    from lottery_pipeline.evaluation.controls import train_controls as train

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
