"""The model specification: all that is needed to build a network again. Imports no torch."""

from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    field_validator,
    model_serializer,
    model_validator,
)

from lottery_pipeline.models.names import NAME_LENGTH, check_model_name

Side = Annotated[int, Field(ge=1, le=2048)]
Width = Annotated[int, Field(ge=1, le=100_000)]
Layer = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.]{1,200}$")]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=NAME_LENGTH)]


class ModelSpec(BaseModel):
    """What a network is built from; part of every fingerprint and of every ticket file.

    Each field is bounded, because a specification may come from a file that somebody sent. A valid
    specification can still describe a large network: build it on the ``meta`` device first if that matters.

    Attributes:
        name: a built-in, ``torchvision:<name>`` or ``package.module:factory``.
        num_classes: number of classes, i.e. of logits.
        channels: channels of an image.
        image_size: height and width of an image, pixels.
        mean: mean per channel of the training pixels, in [0, 1] pixel units.
        std: standard deviation per channel, same units.
        ignore_layers: fnmatch patterns of layers that are never pruned.
        removed_blocks: residual blocks that are left out (``network.layer1.3``).
        narrowed: layers that are narrower than the network's own: name, channels in and out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, StringConstraints(min_length=1, max_length=NAME_LENGTH)]
    num_classes: Annotated[int, Field(ge=2, le=100_000)]
    channels: Annotated[int, Field(ge=1, le=16)]
    image_size: tuple[Side, Side]
    mean: Annotated[tuple[Annotated[float, Field(ge=0.0, le=1.0)], ...], Field(min_length=1, max_length=16)]
    std: Annotated[tuple[Annotated[float, Field(ge=1e-6, le=1.0)], ...], Field(min_length=1, max_length=16)]
    ignore_layers: Annotated[tuple[Pattern, ...], Field(max_length=64)] = ()
    removed_blocks: Annotated[tuple[Layer, ...], Field(max_length=1024)] = ()
    narrowed: Annotated[tuple[tuple[Layer, Width, Width], ...], Field(max_length=4096)] = ()

    @property
    def is_reduced(self) -> bool:
        """Whether it is physically smaller than the network of its name."""
        return bool(self.removed_blocks or self.narrowed)

    def restored(self) -> Self:
        """Return the specification of the full network."""
        return self.model_copy(update={"removed_blocks": (), "narrowed": ()})

    @model_serializer(mode="wrap")
    def _leave_out_what_a_full_network_lacks(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # So that full networks keep the fingerprints and files they had before networks could be reduced.
        record: dict[str, Any] = handler(self)
        for name in ("removed_blocks", "narrowed"):
            if not record.get(name):
                record.pop(name, None)
        return record

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
