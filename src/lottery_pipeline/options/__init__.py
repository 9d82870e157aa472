"""Options of the extraction methods and of what checks them, as typed and checked parameter groups.

Nothing here imports torch, so that the command line can check parameters without loading it.
"""

from lottery_pipeline.options.checks import ControlKind, ControlOptions, SanityCheck, SanityOptions
from lottery_pipeline.options.costs import CostOptions
from lottery_pipeline.options.filter import FilterOptions
from lottery_pipeline.options.imp import MAX_ROUNDS, ImpOptions
from lottery_pipeline.options.layer import LayerOptions
from lottery_pipeline.options.mask_search import (
    OBJECTIVE_PASSES,
    SEARCH_LENGTHS,
    TRAINING_PASSES,
    CtsOptions,
    FrozenWeightOptions,
    GemMinerOptions,
    MaskSearchOptions,
    Objective,
)
from lottery_pipeline.options.methods import COMPOSITIONS, MASK_OPTIONS, METHOD_OPTIONS, METHODS, Method
from lottery_pipeline.options.saliency import (
    GraspOptions,
    ProsprOptions,
    RandomOptions,
    SaliencyOptions,
    SynflowOptions,
)
from lottery_pipeline.options.start import Density, Start, StartOptions
from lottery_pipeline.options.supertickets import (
    SuperticketOptions,
    UnitSearchOptions,
    WeightPruningOptions,
)

__all__ = [
    "COMPOSITIONS",
    "MASK_OPTIONS",
    "MAX_ROUNDS",
    "METHODS",
    "METHOD_OPTIONS",
    "OBJECTIVE_PASSES",
    "SEARCH_LENGTHS",
    "TRAINING_PASSES",
    "ControlKind",
    "ControlOptions",
    "CostOptions",
    "CtsOptions",
    "Density",
    "FilterOptions",
    "FrozenWeightOptions",
    "GemMinerOptions",
    "GraspOptions",
    "ImpOptions",
    "LayerOptions",
    "MaskSearchOptions",
    "Method",
    "Objective",
    "ProsprOptions",
    "RandomOptions",
    "SaliencyOptions",
    "SanityCheck",
    "SanityOptions",
    "Start",
    "StartOptions",
    "SuperticketOptions",
    "SynflowOptions",
    "UnitSearchOptions",
    "WeightPruningOptions",
]
