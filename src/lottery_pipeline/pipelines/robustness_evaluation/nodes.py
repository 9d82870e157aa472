"""Nodes of the robustness evaluation."""

from collections.abc import Callable, Mapping
from typing import Any

from lottery_pipeline.options.robustness import RobustnessOptions
from lottery_pipeline.parameters import ModelParameters, WorkParameters

BLOCK = "robustness_evaluation"
COLUMNS = ("method", "seed", "density", "family", "setting", "metric", "value", "low", "high", "n")


def evaluate_robustness(
    images: Any,
    dense_run: Any,
    stored_tickets: Mapping[str, Callable[[], Any]],
    robustness_evaluation: RobustnessOptions,
    model: ModelParameters,
    seed: int,
    device: str,
    work: WorkParameters,
    **records: Any,
) -> dict[str, Any]:
    """Measure the dense network and the trained tickets of this run and of earlier ones on bad images."""
    from lottery_pipeline.robustness.evaluation import evaluate_networks
    from lottery_pipeline.robustness.subjects import collect_subjects

    subjects = collect_subjects(
        dense_run,
        stored_tickets,
        images,
        # A run reads what it wrote.
        made={
            name: record["metrics"]["fingerprint"]
            for name, record in records.items()
            if record is not None and "fingerprint" in record["metrics"]
        },
        models=work.models,
        # The name this run was given, not the one in the file of the dense run: that could name any code.
        allow_factory=model.name,
        chosen=robustness_evaluation.methods,
    )
    return evaluate_networks(
        subjects,
        images,
        robustness_evaluation,
        seed=seed,
        device=device,
        checkpoints=work.open_checkpoints(),
    )


def tabulate_robustness(evaluation: dict[str, Any]) -> Any:
    """Put all that was measured into one tidy table."""
    import pandas

    table = pandas.DataFrame(evaluation["rows"], columns=list(COLUMNS))
    return table.astype({"n": "Int64"})  # a whole number, or missing


def draw_robustness(evaluation: dict[str, Any]) -> tuple[Any, ...]:
    """Draw accuracy against eps, a heat map, accuracy under each corruption, and reliability."""
    from lottery_pipeline.reporting import figures

    return (
        figures.draw_eps_curves(evaluation),
        figures.draw_robustness_heatmap(evaluation),
        figures.draw_corruptions(evaluation),
        figures.draw_reliability(evaluation),
    )


def record_robustness(evaluation: dict[str, Any], robustness: Any, *figures: Any) -> dict[str, Any]:  # noqa: ARG001 (drawn inside)
    """Put what was measured into one record, with the headline numbers of every network as metrics."""
    from lottery_pipeline.robustness.evaluation import pick_headlines

    return {"metrics": pick_headlines(evaluation), **evaluation}
