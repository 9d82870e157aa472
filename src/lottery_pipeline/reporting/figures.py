"""The figures of the report: accuracy against density and cost, curves, layers, sanity checks."""

from lottery_pipeline.reporting.accuracy_figure import draw_accuracy_against_density
from lottery_pipeline.reporting.cost_figure import draw_accuracy_against_cost
from lottery_pipeline.reporting.curves_figure import draw_training_curves
from lottery_pipeline.reporting.layers_figure import draw_layer_densities
from lottery_pipeline.reporting.sanity_figure import draw_sanity_checks

__all__ = [
    "draw_accuracy_against_cost",
    "draw_accuracy_against_density",
    "draw_layer_densities",
    "draw_sanity_checks",
    "draw_training_curves",
]
