"""Methods: one entry for each way to find a ticket, and nothing else.

A method is a pure function (search, options) -> ``Extraction``; every score is "higher = keep".
"""

from collections.abc import Callable

from lottery_pipeline.methods.cts import extract_cts
from lottery_pipeline.methods.edge_popup import extract_edge_popup
from lottery_pipeline.methods.filter import extract_filter
from lottery_pipeline.methods.gem_miner import extract_gem_miner
from lottery_pipeline.methods.grasp import extract_grasp, grasp_scores
from lottery_pipeline.methods.imp import extract_lth, extract_ltr
from lottery_pipeline.methods.layer import extract_layer
from lottery_pipeline.methods.magnitude import extract_magnitude
from lottery_pipeline.methods.prospr import extract_prospr
from lottery_pipeline.methods.random import extract_random
from lottery_pipeline.methods.snip import extract_snip, snip_scores
from lottery_pipeline.methods.synflow import extract_synflow, synflow_scores
from lottery_pipeline.search.extraction import Extraction

METHODS: dict[str, Callable[..., Extraction]] = {
    "lth": extract_lth,
    "ltr": extract_ltr,
    "cts": extract_cts,
    "snip": extract_snip,
    "grasp": extract_grasp,
    "synflow": extract_synflow,
    "magnitude": extract_magnitude,
    "random": extract_random,
    "edge_popup": extract_edge_popup,
    "gem_miner": extract_gem_miner,
    "prospr": extract_prospr,
    "layer": extract_layer,
    "filter": extract_filter,
}

__all__ = ["METHODS", "grasp_scores", "snip_scores", "synflow_scores"]
