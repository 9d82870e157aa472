"""The one table of methods: a row for each, with everything that more than one place needs to know.

Parameters, preflight, pipelines, compositions, the report, the docs and the contract tests read it.
"""

from dataclasses import dataclass

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
from lottery_pipeline.options.supertickets import SuperticketOptions


@dataclass(frozen=True)
class Method:
    """A way to find a ticket.

    Attributes:
        name: of its function ``extract_<name>``, its namespace, its parameters and its results.
        label: its name in print.
        paper: who published it, and when.
        sentence: what it does, for the glossary of the report.
        options: type of its options.
        colour: in figures, as hex; it must stand out on white and on near-black.
        symbol: its marker in figures, as plotly names it.
        module: of ``lottery_pipeline.methods``; by default it has the name of the method.
        has_ladder: whether it leaves a ticket on every rung of a ladder, and trains controls.
        by_default: whether a run that names no pipeline includes it.
        is_saliency: whether pipeline ``saliency`` includes it.
        within_layer: whether it may also search within a layer ticket (``layer_<name>``).
        match: the method whose ticket sets the size of this one's.
        own_network: whether it searches in a network of its own instead of ``model.name``, and leaves a
            ticket whose weights are trained already.
        any_task: whether it also works on images with masks or points instead of classes.
    """

    name: str
    label: str
    paper: str
    sentence: str
    options: type[BaseModel]
    colour: str
    symbol: str
    module: str = ""
    has_ladder: bool = False
    by_default: bool = False
    is_saliency: bool = False
    within_layer: bool = False
    match: str | None = None
    own_network: bool = False
    any_task: bool = False

    @property
    def has_density(self) -> bool:
        """Whether it masks weights down to a density; the others make the network physically smaller."""
        return "density" in self.options.model_fields

    @property
    def has_controls(self) -> bool:
        """Whether it leaves the weights that its mask has pruned, so that controls can be trained."""
        return self.has_ladder or self.own_network


_ROWS = (
    Method(
        name="lth",
        label="LTH",
        paper="Frankle and Carbin, 2019",
        sentence="Lottery ticket hypothesis: train, remove the smallest weights, reset the others to their "
        "initial values, repeat.",
        options=ImpOptions,
        colour="#D55E00",
        symbol="square",
        module="imp",
        has_ladder=True,
        by_default=True,
        any_task=True,
    ),
    Method(
        name="ltr",
        label="LTR",
        paper="Frankle and others, 2020",
        sentence="Lottery ticket rewinding: train, remove the smallest weights, set the others back to their "
        "values after a little training (the rewind point), repeat.",
        options=ImpOptions,
        colour="#0072B2",
        symbol="circle",
        module="imp",
        has_ladder=True,
        by_default=True,
        within_layer=True,
        any_task=True,
    ),
    Method(
        name="cts",
        label="CTS",
        paper="Arora and Teuscher, 2025",
        sentence="Concrete Ticket Search: learn a keep-probability for each weight while the weights are "
        "frozen.",
        options=CtsOptions,
        colour="#009E73",
        symbol="diamond",
        by_default=True,
        within_layer=True,
    ),
    Method(
        name="snip",
        label="SNIP",
        paper="Lee and others, 2019",
        sentence="Keep the weights whose removal would change the loss most, by gradients on a few images.",
        options=SaliencyOptions,
        colour="#CC6FA3",
        symbol="triangle-up",
        by_default=True,
        is_saliency=True,
        within_layer=True,
    ),
    Method(
        name="grasp",
        label="GraSP",
        paper="Wang and others, 2020",
        sentence="Keep the weights whose removal would shrink the gradient most.",
        options=GraspOptions,
        colour="#B98300",
        symbol="triangle-down",
        by_default=True,
        is_saliency=True,
        within_layer=True,
    ),
    Method(
        name="synflow",
        label="SynFlow",
        paper="Tanaka and others, 2020",
        sentence="Keep the weights that carry most of the flow from input to output, in many rounds and "
        "without images.",
        options=SynflowOptions,
        colour="#4A9FD4",
        symbol="pentagon",
        by_default=True,
        is_saliency=True,
        within_layer=True,
        any_task=True,
    ),
    Method(
        name="magnitude",
        label="Magnitude",
        paper="Frankle and others, 2021",
        sentence="Keep the largest weights of the start point.",
        options=StartOptions,
        colour="#94693A",
        symbol="hexagon",
        is_saliency=True,
        within_layer=True,
        any_task=True,
    ),
    Method(
        name="random",
        label="Random",
        paper="Su and others, 2020; Evci and others, 2020",
        sentence="Keep weights at random, with a chosen density in every layer: every method must beat it.",
        options=RandomOptions,
        colour="#8B8F2B",
        symbol="cross",
        is_saliency=True,
        within_layer=True,
        any_task=True,
    ),
    Method(
        name="edge_popup",
        label="Edge-popup",
        paper="Ramanujan and others, 2020",
        sentence="Learn a score for each weight while the weights are frozen; keep the best of each layer.",
        options=FrozenWeightOptions,
        colour="#5B7F95",
        symbol="bowtie",
    ),
    Method(
        name="gem_miner",
        label="Gem-Miner",
        paper="Sreenivasan and others, 2022",
        sentence="Learn a score for each weight while the weights are frozen; every few epochs, drop the "
        "lowest for good.",
        options=GemMinerOptions,
        colour="#A0559B",
        symbol="hourglass",
    ),
    Method(
        name="prospr",
        label="ProsPr",
        paper="Alizadeh and others, 2022",
        sentence="Keep the weights whose removal would most change the loss after a few steps of training.",
        options=ProsprOptions,
        colour="#5F9A3C",
        symbol="star-triangle-up",
    ),
    Method(
        name="layer",
        label="Layer",
        paper="Jordao and others, 2023",
        sentence="Remove the least important residual blocks and keep the weights of the others.",
        options=LayerOptions,
        colour="#7A5FC7",
        symbol="star-square",
        by_default=True,
    ),
    Method(
        name="filter",
        label="Filter",
        paper="Jordao and others, 2023, their baseline",
        sentence="Remove the least important filters until as much is left as in the layer ticket.",
        options=FilterOptions,
        colour="#3A9C8F",
        symbol="star-diamond",
        by_default=True,
        match="layer",
    ),
    Method(
        name="supertickets",
        label="SuperTickets",
        paper="You and others, 2022",
        sentence="Train an over-complete network once; meanwhile remove the channels that it can do without, "
        "and mask the smallest weights, which may come back.",
        options=SuperticketOptions,
        colour="#C2403D",
        symbol="star",
        by_default=True,
        own_network=True,
        any_task=True,
    ),
    # Add the row of a new method here.
)

METHODS = {row.name: row for row in _ROWS}
METHOD_OPTIONS = {row.name: row.options for row in _ROWS}
MASK_OPTIONS = {row.name: row.options for row in _ROWS if row.has_density}
# Methods within the ticket of another one: layer_cts is CTS on what the layer ticket leaves.
COMPOSITIONS = {f"layer_{row.name}": ("layer", row) for row in _ROWS if row.within_layer}


def find_method(name: str) -> Method:
    """Return the row of a method, or of the one that searches last in a composition."""
    return COMPOSITIONS[name][1] if name in COMPOSITIONS else METHODS[name]


# Blocks that leave a trained ticket.
TICKET_BLOCKS = (*METHODS, *COMPOSITIONS, "sparse_retraining", "signature_embedding")
