"""Options of what tickets are compared with: controls of a ladder, and sanity checks."""

from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lottery_pipeline.options.imp import MAX_ROUNDS
from lottery_pipeline.options.methods import MASK_OPTIONS

ControlKind = Literal["random_mask", "reinitialise"]
SanityCheck = Literal["shuffle", "reinitialise", "inversion", "corrupted_data", "half_data"]


class ControlOptions(BaseModel):
    """Which controls to train, at which rungs of a ladder.

    Attributes:
        kinds: ``random_mask`` shuffles the mask inside each layer, ``reinitialise`` keeps the mask and draws
            new initial weights; an empty list trains none.
        rungs: rungs of the ladder, 0 being the dense network and -1 the last rung.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: tuple[ControlKind, ...] = ("random_mask", "reinitialise")
    rungs: tuple[Annotated[int, Field(ge=-1, le=MAX_ROUNDS, strict=True)], ...] = (-1,)

    @model_validator(mode="after")
    def _check_repeats(self) -> Self:
        _refuse_repeats(self, "kinds", "rungs")
        return self


class SanityOptions(BaseModel):
    """Which methods are checked for what, and with which seeds.

    Attributes:
        methods: names of extraction methods.
        checks: what is changed: the mask (``shuffle``), the start weights (``reinitialise``), the order of
            the scores (``inversion``), or the images of the search (``corrupted_data``, ``half_data``).
        seeds: of the runs; they are the unit of the statistics.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    methods: Annotated[tuple[str, ...], Field(min_length=1)] = ("cts",)
    checks: Annotated[tuple[SanityCheck, ...], Field(min_length=1)] = get_args(SanityCheck)
    seeds: Annotated[tuple[Annotated[int, Field(strict=True, ge=0, lt=2**63)], ...], Field(min_length=1)] = (
        0,
        1,
        2,
    )

    @field_validator("methods", "checks", "seeds", mode="before")
    @classmethod
    def _split_words(cls, value: object) -> object:
        """Take "cts snip" for a list: on the command line a comma ends a parameter."""
        if isinstance(value, int) and not isinstance(value, bool):
            return (value,)
        if isinstance(value, str):
            return [int(word) if word.isdecimal() else word for word in value.split()]
        return value

    @field_validator("methods")
    @classmethod
    def _check_methods(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [method for method in methods if method not in MASK_OPTIONS]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no method; allowed are {', '.join(MASK_OPTIONS)}")
        return methods

    @model_validator(mode="after")
    def _check_repeats(self) -> Self:
        _refuse_repeats(self, "methods", "checks", "seeds")
        return self


def _refuse_repeats(options: BaseModel, *fields: str) -> None:
    for field in fields:
        values = getattr(options, field)
        if len(set(values)) != len(values):
            raise ValueError(f"{field} must not name the same value twice, but is {list(values)}")
