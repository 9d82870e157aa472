"""Nodes of composition: the training of a parent, and the search within it."""

from collections.abc import Callable
from functools import partial
from typing import Any

from lottery_pipeline.options import METHOD_OPTIONS
from lottery_pipeline.parameters import ModelParameters, PretrainingParameters, RetrainingParameters
from lottery_pipeline.tracking import current

Rows = list[dict[str, Any]]


def _make_composition(method: str) -> Callable[..., Any]:
    """Make the node function of a method that starts from another method's ticket."""

    def extract_ticket(
        images: Any,
        dense_run: Any,
        parent: Any,
        parent_run: Any,
        parent_search: dict[str, Any],
        extraction: Any,
        model: ModelParameters,
        pretraining: PretrainingParameters,
        retraining: RetrainingParameters,
        seed: int,
        device: str,
        checkpoints: Any,
    ) -> tuple[Any, dict[str, Any], Rows]:
        from lottery_pipeline.methods import METHODS
        from lottery_pipeline.search.composition import adopt

        found = METHODS[method](
            images,
            parent_run,
            retraining.recipe(pretraining),
            seed=seed,
            options=extraction,
            device=device,
            checkpoints=checkpoints,
            on_record=partial(current().log_search, f"{parent.method}_{method}"),
            allow_factory=model.name,
        )
        adopted = adopt(found, parent, parent_run, dense_run, **parent_search)
        return adopted.ticket, adopted.costs, adopted.trace

    extract_ticket.__annotations__["extraction"] = METHOD_OPTIONS[method]
    extract_ticket.__name__ = extract_ticket.__qualname__ = f"compose_{method}"
    extract_ticket.__doc__ = f"Find a ticket by {method} within another ticket: ticket, costs of both, trace."
    return extract_ticket


compose_ltr = _make_composition("ltr")
compose_cts = _make_composition("cts")
compose_snip = _make_composition("snip")
compose_grasp = _make_composition("grasp")
compose_synflow = _make_composition("synflow")
compose_magnitude = _make_composition("magnitude")
compose_random = _make_composition("random")


def pretrain_parent(
    ticket: Any,
    images: Any,
    stored: Any,
    pretraining: PretrainingParameters,
    retraining: RetrainingParameters,
    seed: int,
    device: str,
    checkpoints: Any,
) -> Any:
    """Train a ticket as the dense network of the methods on top of it, or hand back the stored run."""
    from lottery_pipeline.search.composition import pretrain_parent as pretrain

    return pretrain(
        ticket,
        images,
        retraining.recipe(pretraining),
        rewind_epoch=pretraining.rewind_epoch,
        seed=seed,
        device=device,
        checkpoints=checkpoints,
        on_record=partial(current().log_record, f"{ticket.method}.parent_history"),
        stored=stored,
    )
