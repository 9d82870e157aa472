"""Tickets: how they are found, one file per method, and what is then done with them.

Every method is a pure function (images, dense run, ...) -> ``Extraction``; every score is "higher = keep".
"""

from collections.abc import Callable

from lottery_pipeline.tickets.cts import extract_cts
from lottery_pipeline.tickets.edge_popup import extract_edge_popup
from lottery_pipeline.tickets.extraction import Extraction
from lottery_pipeline.tickets.filter import extract_filter
from lottery_pipeline.tickets.gem_miner import extract_gem_miner
from lottery_pipeline.tickets.grasp import extract_grasp, grasp_scores
from lottery_pipeline.tickets.imp import extract_lth, extract_ltr
from lottery_pipeline.tickets.ladder import Ladder
from lottery_pipeline.tickets.layer import extract_layer
from lottery_pipeline.tickets.magnitude import extract_magnitude
from lottery_pipeline.tickets.prospr import extract_prospr
from lottery_pipeline.tickets.random import extract_random
from lottery_pipeline.tickets.snip import extract_snip, snip_scores
from lottery_pipeline.tickets.synflow import extract_synflow, synflow_scores
from lottery_pipeline.tickets.ticket import Ticket, TicketError

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

__all__ = [
    "METHODS",
    "Extraction",
    "Ladder",
    "Ticket",
    "TicketError",
    "grasp_scores",
    "snip_scores",
    "synflow_scores",
]
