"""Options of iterative magnitude pruning."""

from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lottery_pipeline.options.lists import Group

MAX_ROUNDS = 255  # survival is counted in one byte per weight


class ImpOptions(Group):
    """Iterative magnitude pruning: how far, how fast, and which weights are ranked together.

    Attributes:
        density: target kept / prunable in (0, 1]; the number of rounds follows from ``rate``.
        rounds: number of rounds; the density follows from the rates. Exactly one of ``density`` and
            ``rounds`` is given.
        rate: share of the surviving weights removed in each round.
        scope: ``global`` ranks all prunable weights together, ``layer`` ranks each layer by itself.
        layer_rates: rates of single layers (scope ``layer``), by fnmatch pattern on the layer name with or
            without ``network.``; the first matching pattern counts; ``rate`` applies to the other layers.
            LeNet of the 2018 paper: ``{"fc": 0.1}``, half the rate for the output layer.
        one_shot: prune once, to the density at which the rounds would have ended.
    """

    density: float | None = Field(default=None, gt=0, le=1, strict=True)
    rounds: int | None = Field(default=None, ge=0, le=MAX_ROUNDS, strict=True)
    rate: float = Field(default=0.2, ge=0, lt=1, strict=True)
    scope: Literal["global", "layer"] = "global"
    layer_rates: dict[
        Annotated[str, Field(min_length=1)], Annotated[float, Field(ge=0, lt=1, strict=True)]
    ] = Field(default_factory=dict)
    one_shot: bool = False

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if (self.density is None) == (self.rounds is None):
            raise ValueError("exactly one of density and rounds must be given, the other left out")
        if self.layer_rates and self.scope != "layer":
            raise ValueError("layer_rates needs scope: layer (scope is global)")
        if self.density is not None and self.density < 1:
            fastest = max([self.rate, *self.layer_rates.values()])
            if fastest == 0:
                raise ValueError("a density below 1 needs a rate above 0")
            # No schedule can go lower than one layer at the fastest rate.
            if Fraction(1 - fastest) ** MAX_ROUNDS > Fraction(self.density):
                raise ValueError(
                    f"density {self.density} is out of reach at rate {fastest} in {MAX_ROUNDS} rounds; "
                    "raise the rate"
                )
        return self
