"""Nodes of reporting."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from lottery_pipeline.datasets.left_out import LeftOut
from lottery_pipeline.models.weights.choice import hide_folder
from lottery_pipeline.options import COMPOSITIONS, METHODS
from lottery_pipeline.parameters import PretrainingParameters, to_plain
from lottery_pipeline.pipelines.reporting.provenance import find_command, find_commit, list_versions
from lottery_pipeline.tracking import current

Results = dict[str, dict[str, Any]]  # records by block: methods, compositions, and those of OTHERS
OTHERS = (
    *("sanity_checks", "supertickets_study", "supertickets_transfer"),
    *("signature_embedding", "ownership_verification", "ownership_attacks", "robustness_evaluation"),
)


def gather_results(stored_results: Mapping[str, Callable[[], Any]], **records: Any) -> Results:
    """Take the records that this run has made, and read the others that are stored.

    Args:
        stored_results: by block, what reads its record; called only if this run did not make it.
        **records: those of this run by block; None if there is none.

    Returns:
        The records. That of a block that was left out, or failed, has the one part ``left_out``, a sentence.
    """
    results: Results = {}
    for name in (*METHODS, *COMPOSITIONS, *OTHERS):
        record = records.get(name)
        if record is None and name in stored_results:
            record = stored_results[name]()
        if isinstance(record, LeftOut):
            record = {"left_out": record.sentence}
        if record is not None:
            results[name] = record
    return results


def build_leaderboard(results: Results) -> Any:
    """Put the metrics of all methods into one table."""
    from lottery_pipeline.reporting import leaderboard

    return leaderboard.build_leaderboard(select_part(results, "metrics"))


def draw_figures(dense_record: dict[str, Any], results: Results) -> tuple[Any, ...]:
    """Draw accuracy against density, cost and speed, the training curves, density and MACs of every layer."""
    from lottery_pipeline.reporting import figures
    from lottery_pipeline.reporting.metric import name_metric

    dense, metrics = dense_record["metrics"], select_part(results, "metrics")
    ladders, controls = select_part(results, "ladder_table"), select_part(results, "controls")
    metric = name_metric([*metrics.values(), dense])
    return (
        figures.draw_accuracy_against_density(dense, metrics, ladders, controls),
        figures.draw_accuracy_against_cost(dense, metrics),
        figures.draw_accuracy_against_execution(dense, metrics),
        figures.draw_training_curves(dense_record["history"], select_part(results, "history"), metric),
        figures.draw_layer_densities(metrics),
        figures.draw_layer_macs(metrics),
    )


def draw_search(record: dict[str, Any]) -> dict[str, Any]:
    """Draw the architecture that a joint search has found, and the search."""
    from lottery_pipeline.reporting import figures
    from lottery_pipeline.reporting.metric import name_metric

    blocks, metrics = record["blocks"], record["metrics"]
    metric = name_metric([metrics])
    return {
        "architecture": figures.draw_architecture(blocks),
        "block_widths": figures.draw_block_widths(blocks),
        "search_path": figures.draw_search_path(record["trace"], metrics, metric),
        "search_course": figures.draw_search_course(record["trace"], blocks, metric),
    }


def draw_robustness(record: dict[str, Any]) -> dict[str, Any]:
    """Draw what the robustness evaluation measured; a family that was left out has no figure."""
    from lottery_pipeline.reporting import figures

    drawn = {
        "robustness_heatmap": figures.draw_robustness_heatmap(record),
        "eps_curves": figures.draw_eps_curves(record),
        "corruption_accuracy": figures.draw_corruptions(record),
        "reliability": figures.draw_reliability(record),
    }
    return {name: figure for name, figure in drawn.items() if figure.data}


def draw_images(data_overview: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Tabulate the classes of the images, and draw some images and the class counts."""
    import pandas

    from lottery_pipeline.reporting import figures

    return (
        pandas.DataFrame(data_overview["classes"]),
        figures.draw_samples(data_overview),
        figures.draw_class_counts(data_overview),
    )


def write_report(
    leaderboard: Any,
    data_profile: Any,
    data_overview: dict[str, Any],
    dense_record: dict[str, Any],
    results: Results,
    parameters: dict[str, Any],
    **figures: Any,
) -> str:
    """Write the report as one self-contained page."""
    from lottery_pipeline.evaluation.study_summaries import summarise_arms, summarise_transfer
    from lottery_pipeline.evaluation.verdicts import summarise_sanity
    from lottery_pipeline.models.uncounted import Uncounted, describe_uncounted
    from lottery_pipeline.reporting.architecture_section import describe_architecture
    from lottery_pipeline.reporting.arithmetic import list_arithmetic
    from lottery_pipeline.reporting.figures import (
        draw_arms,
        draw_attacks,
        draw_sanity_checks,
        draw_transfers,
    )
    from lottery_pipeline.reporting.ownership_section import describe_ownership
    from lottery_pipeline.reporting.report import render_report
    from lottery_pipeline.reporting.robustness_section import describe_robustness
    from lottery_pipeline.reporting.start import describe_theta_0
    from lottery_pipeline.reporting.supertickets_section import describe_arms, describe_transfers

    left_out = [record["left_out"] for record in results.values() if "left_out" in record]
    results = {name: record for name, record in results.items() if "left_out" not in record}
    if rows := results.get("sanity_checks", {}).get("rows"):
        figures["sanity_checks"] = draw_sanity_checks(summarise_sanity(rows), rows)
    if rows := results.get("ownership_attacks", {}).get("rows"):
        figures["attacks"] = draw_attacks(rows)
    arms = summarise_arms(results.get("supertickets_study", {}).get("rows", ()))
    transfers = summarise_transfer(results.get("supertickets_transfer", {}).get("rows", ()))
    if arms:
        figures["supertickets_study"] = draw_arms(arms, results["supertickets_study"]["rows"])
    if transfers:
        figures["supertickets_transfer"] = draw_transfers(transfers)
    architecture, plain = None, to_plain(parameters)
    measured = results.get("robustness_evaluation")
    robustness = describe_robustness(measured, data=plain["data"]["source"], model=plain["model"]["name"])
    if measured and robustness:
        figures |= draw_robustness(measured)
    if (run := next(iter(select_part(results, "blocks")), None)) is not None:
        record = results[run]
        figures |= draw_search(record)
        # Without the folders above the data, which may be nobody else's business.
        folder = "/".join([*Path(plain["work"]["models"]).parts[-4:], run])
        architecture = describe_architecture(
            record["metrics"], record["blocks"], folder=folder, experiment=plain["work"]["experiment"]
        )
    return render_report(
        leaderboard=leaderboard,
        figures=figures,
        data_profile=data_profile,
        dense_metrics=dense_record["metrics"],
        ladders=select_part(results, "ladder_table"),
        controls=select_part(results, "controls"),
        ownership=describe_ownership(results),
        architecture=architecture,
        arms=describe_arms(arms),
        transfers=describe_transfers(transfers),
        robustness=robustness,
        theta_0=describe_theta_0(dense_record),
        uncounted=describe_uncounted([Uncounted(**row) for row in dense_record.get("uncounted", ())]),
        left_out=left_out,
        context=describe_run(plain, data_overview["summary"], tracked=current().page, run=current().identity)
        | {"arithmetic": list_arithmetic({"dense": dense_record, **results})},
    )


def select_part(results: Results, part: str) -> dict[str, Any]:
    """Return one part of the results of each method that has it; a signed ticket is not a method."""
    methods = {**METHODS, **COMPOSITIONS}
    return {name: record[part] for name, record in results.items() if name in methods and part in record}


def describe_run(
    parameters: dict[str, Any], data_summary: Mapping[str, Any], *, tracked: str = "", run: str = ""
) -> dict[str, Any]:
    """Say what was run, for the head and the foot of the report.

    Args:
        parameters: plain.
        data_summary: numbers of the images.
        tracked: address of the run's experiment in MLflow.
        run: identity of the run there.
    """
    recipe = PretrainingParameters(**parameters["pretraining"])
    model = parameters["model"]
    if model.get("weights"):
        model = {**model, "weights": hide_folder(model["weights"])}
    unit = "iterations" if recipe.epochs is None else "epochs"
    length = f"{getattr(recipe, unit)} {unit}"
    experiment, variant = parameters["work"]["experiment"], parameters["work"]["variant"]
    options = "" if experiment == "base" else f" --env {experiment}"
    options += "" if variant == "base" else f" --params variant={variant}"
    return {
        "experiment": experiment,
        "variant": variant,
        "seed": parameters["seed"],
        "data": parameters["data"]["source"],
        "model": parameters["model"]["name"],
        "recipe": f"{recipe.name}: {recipe.optimiser}, {length}, batches of {recipe.batch_size}",
        "command": find_command() or f"kedro run{options}",
        "commit": find_commit(),
        "created": datetime.now().astimezone().isoformat(sep=" ", timespec="minutes"),
        "test_images": data_summary["test"],
        # Where the files lie is not part of the recipe, and may be nobody else's business.
        "parameters": {
            **{name: group for name, group in parameters.items() if name != "work"},
            "model": model,
        },
        "tracked": tracked,
        "run": run,
        "versions": list_versions(),
    }
