"""The figures of the report: accuracy against density, training curves, density of every layer."""

from lottery_pipeline.reporting.accuracy_figure import draw_accuracy_against_density
from lottery_pipeline.reporting.curves_figure import draw_training_curves
from lottery_pipeline.reporting.layers_figure import draw_layer_densities

__all__ = ["draw_accuracy_against_density", "draw_layer_densities", "draw_training_curves"]
