"""Options for what tickets are compared with: controls of a ladder, and sanity checks."""

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from lottery_pipeline.options.imp import MAX_ROUNDS
from lottery_pipeline.options.lists import DISTINCT, Group
from lottery_pipeline.options.methods import MASK_OPTIONS, METHODS

ControlKind = Literal["random_mask", "reinitialise"]
SanityCheck = Literal["shuffle", "reinitialise", "inversion", "corrupted_data", "half_data"]


class ControlOptions(Group):
    """Which controls to train, at which rungs of a ladder.

    Attributes:
        kinds: ``random_mask`` shuffles the mask inside each layer, ``reinitialise`` keeps the mask and draws
            new initial weights; an empty list trains none.
        rungs: rungs of the ladder, 0 being the dense network and -1 the last rung.
    """

    kinds: Annotated[tuple[ControlKind, ...], DISTINCT] = ("random_mask", "reinitialise")
    rungs: Annotated[tuple[Annotated[int, Field(ge=-1, le=MAX_ROUNDS, strict=True)], ...], DISTINCT] = (-1,)


class SanityOptions(Group):
    """Which methods to check, how, and with which seeds.

    Attributes:
        methods: names of extraction methods.
        checks: what is changed: the mask (``shuffle``), the start weights (``reinitialise``), the order of
            the scores (``inversion``), or the images of the search (``corrupted_data``, ``half_data``).
        seeds: of the runs; they are the unit of the statistics.
    """

    methods: Annotated[tuple[str, ...], Field(min_length=1), DISTINCT] = ("cts",)
    checks: Annotated[tuple[SanityCheck, ...], Field(min_length=1), DISTINCT] = get_args(SanityCheck)
    seeds: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=0, lt=2**63)], ...],
        Field(min_length=1),
        DISTINCT,
    ] = (0, 1, 2)

    @field_validator("methods")
    @classmethod
    def _check_methods(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        allowed = [name for name in MASK_OPTIONS if not METHODS[name].own_network]
        unknown = [method for method in methods if method not in allowed]
        if unknown:
            raise ValueError(
                f"{unknown[0]!r} is not a method that can be checked; allowed are {', '.join(allowed)}"
            )
        return methods
