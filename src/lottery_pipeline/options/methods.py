"""The methods of ticket extraction and the type of their options."""

from pydantic import BaseModel

from lottery_pipeline.options.imp import ImpOptions
from lottery_pipeline.options.mask_search import CtsOptions, FrozenWeightOptions, GemMinerOptions
from lottery_pipeline.options.saliency import (
    GraspOptions,
    ProsprOptions,
    RandomOptions,
    SaliencyOptions,
    SynflowOptions,
)
from lottery_pipeline.options.start import StartOptions

# One line for each.
METHOD_OPTIONS: dict[str, type[BaseModel]] = {
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
