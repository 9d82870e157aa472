"""Options of SuperTickets: which supernet is searched, when units go, and when weights are pruned."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from lottery_pipeline.options.lists import Group
from lottery_pipeline.options.start import Density

# Below 1 a share of the training, rounded to whole epochs; from 1 on a number of epochs.
Interval = Annotated[float, Field(gt=0, le=1_000_000, strict=True)]
Pattern = Annotated[str, Field(min_length=1, max_length=200)]


class UnitSearchOptions(Group):
    """The search for an architecture: which hidden channels and tokens go, and when.

    Attributes:
        every: epochs between two search events.
        start: share of the training before the search, without pull and without events.
        rho: strength of the L1 pull on the importance of units (the scale of a batch norm), whose gradient is
            rho lambda sign(gamma); lambda weighs a unit by its multiply-accumulates. ``auto`` chooses the rho
            with which the pull alone takes a scale from 1 to 0 in 60 % of the steps; it needs sgd or
            nesterov.
        rho_warmup: share of the training over which rho rises from 0, after ``start``.
        mac_weighted: false weighs all units alike, lambda = 1.
        gamma_threshold: a unit is dead if its scale is at most this, in magnitude.
        keep_rule: ``or`` keeps a unit that is alive in the weights or in their moving average, ``ema`` one
            that is alive in the average. The last search event always takes the average alone.
        min_dead_macs: share of the supernet's multiply-accumulates that dead units must have before a search
            event removes them; the last event removes them anyway.
        mac_budget: instead of the threshold: the share of the supernet's multiply-accumulates that may
            remain at the end. Every event removes the least important units, down to a part of the way.
    """

    every: Interval = 1.0
    start: float = Field(default=0.0, ge=0, lt=1)
    rho: Literal["auto"] | Annotated[float, Field(ge=0)] = "auto"
    rho_warmup: float = Field(default=0.07, ge=0, lt=1)
    mac_weighted: bool = True
    gamma_threshold: float = Field(default=1e-3, ge=0)
    keep_rule: Literal["or", "ema"] = "or"
    min_dead_macs: float = Field(default=0.0, ge=0, lt=1)
    mac_budget: float | None = Field(default=None, gt=0, lt=1)


class WeightPruningOptions(Group):
    """The pruning of weights: how many are masked, when, and which may come back.

    Attributes:
        every: epochs between two prune events; the last epoch always ends with one.
        end: share of the training after which masks stay as they are, until the last event.
        progressive: the share of pruned weights rises from event to event; false prunes to the end at the
            first event.
        step: by how much it rises. ``auto`` reaches the end at 60 % of the events.
        reactivation: when pruned weights train again. ``every_search``: after every search event, in all
            layers. ``on_search``: after a search event that has removed units, in the searchable blocks, as
            in the authors' code. ``after_prune``: after every prune event but the last. ``never``.
        pruned_value: what comes back: the value the weight had (``keep``) or 0 (``zero``).
        compete: whether pruned weights compete with their old values at the next event (``raw``) or are out
            for good unless they were reactivated (``kept_only``).
        scores: ``magnitude``, or ``random`` for a baseline.
        min_keep_per_layer: weights that a layer keeps at least, if it has that many.
    """

    every: Interval = 2.0
    end: float = Field(default=1.0, gt=0, le=1)
    progressive: bool = True
    step: Literal["auto"] | Annotated[float, Field(gt=0, le=1)] = "auto"
    reactivation: Literal["every_search", "on_search", "after_prune", "never"] = "every_search"
    pruned_value: Literal["keep", "zero"] = "keep"
    compete: Literal["raw", "kept_only"] = "raw"
    scores: Literal["magnitude", "random"] = "magnitude"
    min_keep_per_layer: int = Field(default=1, ge=0, le=1_000_000, strict=True)


class SuperticketOptions(Group):
    """SuperTickets: one training that searches an architecture and prunes its weights.

    Attributes:
        supernet: a preset (digits8, canvas32, cifar, hrnas) or a configuration; None is that of
            the network in ``model.name``.
        density: kept / D, where D counts the supernet before the search.
        density_of: ``supernet``, or ``model`` for as many weights as other methods keep at this density in
            the network of ``model.name``, so that rows of the leaderboard compare.
        epochs: of the search; None takes those of the retraining recipe.
        ignore_layers: fnmatch patterns of layers of the supernet that are never pruned.
        search: when units go.
        pruning: when weights are masked; None searches an architecture alone, and ``density`` is not used.
        ema_share: time constant of the moving average of the weights, as a share of all steps.
        calibration_batches: batches over which batch-norm statistics are taken anew before each measurement.
    """

    supernet: Annotated[str, Field(min_length=1, max_length=4096)] | dict[str, Any] | None = None
    density: Density
    density_of: Literal["supernet", "model"] = "supernet"
    epochs: int | None = Field(default=None, ge=1, le=1_000_000, strict=True)
    ignore_layers: Annotated[tuple[Pattern, ...], Field(max_length=64)] = ()
    search: UnitSearchOptions | None = UnitSearchOptions()
    pruning: WeightPruningOptions | None = WeightPruningOptions()
    ema_share: float = Field(default=0.05, gt=0, le=1)
    calibration_batches: int = Field(default=10, ge=1, le=100_000, strict=True)

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.search is None and self.pruning is None:
            raise ValueError("search and pruning are both null, so nothing can be found; give one of them")
        return self
