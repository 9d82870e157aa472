"""The model specification: all that is needed to build a network again. Imports no torch."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from lottery_pipeline.models.names import NAME_LENGTH, check_model_name

Side = Annotated[int, Field(ge=1, le=2048)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=NAME_LENGTH)]


class ModelSpec(BaseModel):
    """What a network is built from; part of every fingerprint and of every ticket file.

    Each field is bounded, because a specification may come from a file somebody sent. A sound specification
    can still describe a large network: build it on the ``meta`` device first where that matters.

    Attributes:
        name: a built-in, ``torchvision:<name>`` or ``package.module:factory``.
        num_classes: number of classes, i.e. of logits.
        channels: channels of an image.
        image_size: height and width of an image, pixels.
        mean: mean per channel of the training pixels, in [0, 1] pixel units.
        std: standard deviation per channel, same units.
        ignore_layers: fnmatch patterns of layers that are never pruned.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, StringConstraints(min_length=1, max_length=NAME_LENGTH)]
    num_classes: Annotated[int, Field(ge=2, le=100_000)]
    channels: Annotated[int, Field(ge=1, le=16)]
    image_size: tuple[Side, Side]
    mean: Annotated[tuple[Annotated[float, Field(ge=0.0, le=1.0)], ...], Field(min_length=1, max_length=16)]
    std: Annotated[tuple[Annotated[float, Field(ge=1e-6, le=1.0)], ...], Field(min_length=1, max_length=16)]
    ignore_layers: Annotated[tuple[Pattern, ...], Field(max_length=64)] = ()

    @field_validator("name")
    @classmethod
    def _name_has_a_known_form(cls, name: str) -> str:
        check_model_name(name)
        return name

    @model_validator(mode="after")
    def _statistics_match_the_channels(self) -> Self:
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ValueError(
                f"mean and std need one value for each of the {self.channels} channels, "
                f"got {len(self.mean)} and {len(self.std)}"
            )
        return self
