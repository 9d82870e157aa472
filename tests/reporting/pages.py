"""A page with every table and every kind of figure, of thirteen methods and made-up numbers."""

from typing import Any

from lottery_pipeline.evaluation.study_summaries import summarise_arms, summarise_transfer
from lottery_pipeline.evaluation.verdicts import summarise_sanity
from lottery_pipeline.options import METHODS
from lottery_pipeline.pipelines.reporting.nodes import draw_figures, draw_robustness, draw_search, select_part
from lottery_pipeline.reporting.architecture_section import describe_architecture
from lottery_pipeline.reporting.figures import (
    draw_arms,
    draw_attacks,
    draw_class_counts,
    draw_sanity_checks,
    draw_transfers,
)
from lottery_pipeline.reporting.leaderboard import build_leaderboard
from lottery_pipeline.reporting.ownership_section import describe_ownership
from lottery_pipeline.reporting.report import render_report
from lottery_pipeline.reporting.robustness_section import describe_robustness
from lottery_pipeline.reporting.supertickets_section import describe_arms, describe_transfers
from tests.reporting.ownership_records import make_signature, make_try, make_verification
from tests.reporting.records import (
    make_blocks,
    make_controls,
    make_dense_metrics,
    make_history,
    make_ladder,
    make_metrics,
    make_superticket,
    make_trace,
)
from tests.reporting.robustness_records import make_full_record
from tests.reporting.study_rows import ARM_ROWS, MOVES

CLASS = "<a href=x>y</a>"
NAMES = ("conv1", *(f"layer{stage}.{block}.conv1" for stage in (1, 2, 3) for block in (0, 1)), "fc")


def make_results() -> dict[str, Any]:
    """Records of thirteen methods, many of them equal, and of a SuperTicket."""
    results: dict[str, Any] = {}
    for place, method in enumerate(name for name in METHODS if name != "supertickets"):
        changes = {"test_accuracy": 0.9 + 0.02 * (place % 3), "search_epochs": 5.0 * (place % 4)}
        metrics = make_metrics(method, **changes, layer_costs=_make_costs(place))
        metrics["layers"] = [
            row | {"layer": f"network.{name}"} for name in NAMES for row in metrics["layers"][:1]
        ]
        results[method] = {"metrics": metrics, "history": make_history()}
    for method in ("lth", "ltr"):
        results[method] |= {"ladder_table": make_ladder(method), "controls": make_controls(method)}
    own = {"metrics": make_superticket(), "trace": make_trace(), "blocks": make_blocks()}
    return results | {"supertickets": own}


def make_page() -> str:
    """Write the page."""
    results, dense = make_results(), {"metrics": make_dense_metrics(), "history": make_history()}
    names = ("accuracy_against_density", "accuracy_against_cost", "accuracy_against_execution")
    names += ("training_curves", "layer_densities", "layer_macs")
    figures: dict[str, Any] = dict(zip(names, draw_figures(dense, results), strict=True))
    own, measured, sanity = results["supertickets"], make_full_record(), _make_sanity()
    tries = [make_try(f"A{number}", f"share=0.{number + 1}", bits=300.0 - 30 * number) for number in range(9)]
    signed = {"signature_embedding": make_signature(), "ownership_verification": make_verification()}
    arms, transfers = summarise_arms(ARM_ROWS), summarise_transfer(MOVES)
    counts = [{"class": name, "train": 9, "validation": 3, "test": 4} for name in (CLASS, "one")]
    summary = {
        "train": 18,
        "validation": 6,
        "test": 8,
        "width": 8,
        "height": 8,
        "channels": 1,
        "source": CLASS,
    }
    figures |= (
        draw_search(own)
        | draw_robustness(measured)
        | {
            "attacks": draw_attacks(tries),
            "sanity_checks": draw_sanity_checks(summarise_sanity(sanity), sanity),
            "supertickets_study": draw_arms(arms, ARM_ROWS),
            "supertickets_transfer": draw_transfers(transfers),
            "data_class_counts": draw_class_counts({"summary": summary, "classes": counts}),
        }
    )
    return render_report(
        leaderboard=build_leaderboard(select_part(results, "metrics")),
        figures=figures,
        data_profile=_tabulate(counts),
        dense_metrics=dense["metrics"],
        ladders=select_part(results, "ladder_table"),
        controls=select_part(results, "controls"),
        ownership=describe_ownership(signed | {"ownership_attacks": {"rows": tries}}),
        architecture=describe_architecture(own["metrics"], own["blocks"], folder="data", experiment="base"),
        arms=describe_arms(arms),
        transfers=describe_transfers(transfers),
        robustness=describe_robustness(measured, data="digits", model="resnet20"),
        left_out=["grasp failed in grasp.extract: the loss is not finite."],
        context={
            "data": CLASS,
            "model": "resnet20",
            "test_images": 360,
            "command": f"kedro run --params {'x' * 90}",
            "commit": f"{'c' * 40}, with changes that are not committed",
            "tracked": "http://127.0.0.1:5000/#/experiments/1/runs",
            "run": "7" * 32,
            "versions": {"lottery_pipeline": "1.0", "torch": "2.14"},
        },
    )


def _make_costs(place: int) -> list[dict[str, Any]]:
    share = 0.1 + 0.05 * place
    return [
        {
            "layer": f"network.{name}",
            "macs_dense": 147_000,
            "density": share,
            "macs_theoretical": 147_000 * share,
        }
        for name in NAMES
    ]


def _make_sanity() -> list[dict[str, Any]]:
    return [
        {
            "method": "supertickets",
            "check": check,
            "seed": seed,
            "kept": 38,
            "prunable": 194,
            "original_accuracy": 0.9,
            "changed_accuracy": 0.9 + change,
            "difference": change,
            "changed": 70,
        }
        for check in ("shuffle", "corrupted_data")
        for seed, change in enumerate((-0.04, -0.05, -0.14))
    ]


def _tabulate(rows: list[dict[str, Any]]) -> Any:
    import pandas as pd

    return pd.DataFrame(rows)
