"""Wiring of reporting."""

import warnings

from kedro.pipeline import Node, Pipeline

from lottery_pipeline.options import COMPOSITIONS, METHODS
from lottery_pipeline.pipelines.reporting.nodes import build_leaderboard, draw_figures, write_report

FIGURES = [
    "accuracy_against_density",
    "accuracy_against_cost",
    "accuracy_against_execution",
    "training_curves",
    "layer_densities",
    "layer_macs",
]
DATA = ["data_samples", "data_class_counts", "data_profile", "data_summary"]
DENSE = ["dense_metrics", "dense_history"]
SANITY = "sanity_checks_figure"
LADDER_PARTS = ("ladder_table", "controls")


def create_pipeline() -> Pipeline:
    """Build the leaderboard, draw the figures and write the report, of all methods that have results."""
    # Results are called ltr_metrics inside the pipeline and ltr.metrics outside.
    ladders = {name for name, method in METHODS.items() if method.has_ladder}
    parts = {
        f"{name}.{part}": f"{name}_{part}"
        for name in (*METHODS, *COMPOSITIONS)
        for part in ("metrics", "history", *(LADDER_PARTS if name in ladders else ()))
    }
    metrics = {name: alias for name, alias in parts.items() if name.endswith(".metrics")}
    page = [*FIGURES, *DATA, SANITY, "leaderboard", "dense_metrics", "run_identity", "parameters"]
    nodes = [
        Node(build_leaderboard, inputs=metrics, outputs="leaderboard", name="build_leaderboard"),
        Node(draw_figures, inputs={**_same(DENSE), **parts}, outputs=FIGURES, name="draw_figures"),
        Node(write_report, inputs={**_same(page), **parts}, outputs="report", name="write_report"),
    ]
    with warnings.catch_warnings():
        # Kedro warns about names with a dot outside their namespace, but reporting has to read them.
        warnings.filterwarnings("ignore", "One or more dataset names contain '.'", UserWarning)
        return Pipeline(
            nodes,
            namespace="reporting",
            inputs={
                **_same([*DATA, *DENSE, SANITY, "run_identity"]),
                **{alias: name for name, alias in parts.items()},
            },
            outputs={*FIGURES, "leaderboard", "report"},
            tags="reporting",
        )


def _same(names: list[str]) -> dict[str, str]:
    return {name: name for name in names}
