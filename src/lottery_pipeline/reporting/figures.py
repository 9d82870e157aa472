"""The figures of the report: accuracy, costs, curves, layers, images, checks, attacks, blocks, robustness."""

from lottery_pipeline.reporting.accuracy_figure import draw_accuracy_against_density
from lottery_pipeline.reporting.architecture_figure import draw_architecture
from lottery_pipeline.reporting.attacks_figure import draw_attacks
from lottery_pipeline.reporting.corruption_figure import draw_corruptions
from lottery_pipeline.reporting.cost_figure import draw_accuracy_against_cost
from lottery_pipeline.reporting.curves_figure import draw_training_curves
from lottery_pipeline.reporting.eps_curves_figure import draw_eps_curves
from lottery_pipeline.reporting.execution_figure import draw_accuracy_against_execution
from lottery_pipeline.reporting.images_figure import draw_class_counts, draw_samples
from lottery_pipeline.reporting.joint_search_figure import draw_search_course, draw_search_path
from lottery_pipeline.reporting.layers_figure import draw_layer_densities, draw_layer_macs
from lottery_pipeline.reporting.reliability_figure import draw_reliability
from lottery_pipeline.reporting.robustness_heatmap import draw_robustness_heatmap
from lottery_pipeline.reporting.sanity_figure import draw_sanity_checks
from lottery_pipeline.reporting.supertickets_study_figure import draw_arms
from lottery_pipeline.reporting.supertickets_transfer_figure import draw_transfers
from lottery_pipeline.reporting.widths_figure import draw_block_widths

__all__ = [
    "draw_accuracy_against_cost",
    "draw_accuracy_against_density",
    "draw_accuracy_against_execution",
    "draw_architecture",
    "draw_arms",
    "draw_attacks",
    "draw_block_widths",
    "draw_class_counts",
    "draw_corruptions",
    "draw_eps_curves",
    "draw_layer_densities",
    "draw_layer_macs",
    "draw_reliability",
    "draw_robustness_heatmap",
    "draw_samples",
    "draw_sanity_checks",
    "draw_search_course",
    "draw_search_path",
    "draw_training_curves",
    "draw_transfers",
]
