"""The methods of ticket extraction and the type of their options; one line for each."""

from pydantic import BaseModel

from lottery_pipeline.options.filter import FilterOptions
from lottery_pipeline.options.imp import ImpOptions
from lottery_pipeline.options.layer import LayerOptions
from lottery_pipeline.options.mask_search import CtsOptions, FrozenWeightOptions, GemMinerOptions
from lottery_pipeline.options.saliency import (
    GraspOptions,
    ProsprOptions,
    RandomOptions,
    SaliencyOptions,
    SynflowOptions,
)
from lottery_pipeline.options.start import StartOptions

# Methods that mask weights, to a density.
MASK_OPTIONS: dict[str, type[BaseModel]] = {
    "lth": ImpOptions,
    "ltr": ImpOptions,
    "cts": CtsOptions,
    "snip": SaliencyOptions,
    "grasp": GraspOptions,
    "synflow": SynflowOptions,
    "magnitude": StartOptions,
    "random": RandomOptions,
    "edge_popup": FrozenWeightOptions,
    "gem_miner": GemMinerOptions,
    "prospr": ProsprOptions,
}
# Methods that make the network physically smaller.
STRUCTURE_OPTIONS: dict[str, type[BaseModel]] = {"layer": LayerOptions, "filter": FilterOptions}
METHOD_OPTIONS = {**MASK_OPTIONS, **STRUCTURE_OPTIONS}
# Methods within the ticket of another one: layer_cts is CTS on what the layer ticket has left.
_WITHIN = ("ltr", "cts", "snip", "grasp", "synflow", "magnitude", "random")
COMPOSED_OPTIONS = {f"layer_{method}": MASK_OPTIONS[method] for method in _WITHIN}
