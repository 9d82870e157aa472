"""Nodes of reporting. Results come by method and part (``ltr.metrics``); missing ones are None."""

from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from platform import python_version
from typing import Any

from lottery_pipeline.evaluation.lineage import check_results
from lottery_pipeline.parameters import PretrainingParameters, to_plain

LIBRARIES = ("lottery_pipeline", "kedro", "mlflow", "numpy", "torch", "torchvision")


def build_leaderboard(**results: dict[str, Any] | None) -> Any:
    """Put the metrics of all methods into one table."""
    from lottery_pipeline.reporting import leaderboard

    return leaderboard.build_leaderboard(select_part(results, "metrics"))


def draw_figures(
    dense_metrics: dict[str, Any], dense_history: list[dict[str, Any]], **results: Any
) -> tuple[Any, ...]:
    """Draw accuracy against density, cost and speed, the training curves, density and MACs of every layer."""
    from lottery_pipeline.reporting import figures

    check_results(results)
    metrics = select_part(results, "metrics")
    ladders, controls = select_part(results, "ladder_table"), select_part(results, "controls")
    return (
        figures.draw_accuracy_against_density(dense_metrics, metrics, ladders, controls),
        figures.draw_accuracy_against_cost(dense_metrics, metrics),
        figures.draw_accuracy_against_execution(dense_metrics, metrics),
        figures.draw_training_curves(dense_history, select_part(results, "history")),
        figures.draw_layer_densities(metrics),
        figures.draw_layer_macs(metrics),
    )


def write_report(
    leaderboard: Any,
    accuracy_against_density: Any,
    accuracy_against_cost: Any,
    accuracy_against_execution: Any,
    training_curves: Any,
    layer_densities: Any,
    layer_macs: Any,
    sanity_checks_figure: Any,
    data_samples: Any,
    data_class_counts: Any,
    data_profile: Any,
    data_summary: dict[str, Any],
    dense_metrics: dict[str, Any],
    run_identity: dict[str, str],
    parameters: dict[str, Any],
    **results: Any,
) -> str:
    """Write the report as one self-contained page."""
    from lottery_pipeline.reporting.report import render_report

    check_results(results)
    return render_report(
        leaderboard=leaderboard,
        figures={
            "accuracy_against_density": accuracy_against_density,
            "accuracy_against_cost": accuracy_against_cost,
            "accuracy_against_execution": accuracy_against_execution,
            "sanity_checks": sanity_checks_figure,
            "training_curves": training_curves,
            "layer_densities": layer_densities,
            "layer_macs": layer_macs,
            "data_samples": data_samples,
            "data_class_counts": data_class_counts,
        },
        data_profile=data_profile,
        dense_metrics=dense_metrics,
        ladders=select_part(results, "ladder_table"),
        controls=select_part(results, "controls"),
        context=describe_run(to_plain(parameters), run_identity, data_summary),
    )


def select_part(results: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Return one part of all results by method."""
    ending = f".{part}"
    return {name.removesuffix(ending): result for name, result in results.items() if name.endswith(ending)}


def describe_run(
    parameters: dict[str, Any], run_identity: Mapping[str, str], data_summary: Mapping[str, Any]
) -> dict[str, Any]:
    """Say what was run, for the head and the foot of the report."""
    recipe = PretrainingParameters(**parameters["pretraining"])
    unit = "iterations" if recipe.epochs is None else "epochs"
    length = f"{getattr(recipe, unit)} {unit}"
    experiment, variant = str(run_identity["experiment"]), str(run_identity["variant"])
    options = "" if experiment == "base" else f" --env {experiment}"
    options += "" if variant == "base" else f" --params variant={variant}"
    return {
        "experiment": experiment,
        "variant": variant,
        "seed": parameters["seed"],
        "data": parameters["data"]["source"],
        "model": parameters["model"]["name"],
        "recipe": f"{recipe.name}: {recipe.optimiser}, {length}, batches of {recipe.batch_size}",
        "command": f"kedro run{options}",
        "created": datetime.now().astimezone().isoformat(sep=" ", timespec="minutes"),
        "test_images": data_summary["test"],
        "parameters": parameters,
        "versions": {"python": python_version(), **{name: version(name) for name in LIBRARIES}},
    }
