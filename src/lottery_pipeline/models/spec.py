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

from lottery_pipeline.models.names import BUILT_IN_MODELS, NAME_LENGTH, SUPERNET, check_model_name
from lottery_pipeline.models.supernet.architecture import BlockWidths
from lottery_pipeline.models.supernet.config import Supernet

Side = Annotated[int, Field(ge=1, le=2048)]
Width = Annotated[int, Field(ge=1, le=100_000)]
Layer = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.]{1,200}$")]
MOST_PATTERNS = 64  # of ignore_layers
Behaviour = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}(-[0-9a-f]{16}){3}$")]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=NAME_LENGTH)]


class ModelSpec(BaseModel):
    """What a network is built from; part of every fingerprint and of every ticket file.

    Each field is bounded, because a specification may come from a file that somebody sent. A valid
    specification can still describe a large network: build it on the ``meta`` device first if that matters.

    Attributes:
        name: a built-in, ``supernet``, ``torchvision:<name>`` or ``package.module:factory``.
        num_classes: number of classes, i.e. of logits; joints if a network finds keypoints.
        channels: channels of an image.
        image_size: height and width of an image, pixels.
        mean: mean per channel of the training pixels, in [0, 1] pixel units.
        std: standard deviation per channel, same units.
        ignore_layers: fnmatch patterns of layers that are never pruned. Layers of a user's network that take
            no part in its forward pass are added by ``leave_out_idle_layers``.
        removed_blocks: residual blocks that are left out (``network.layer1.3``).
        narrowed: layers that are narrower than the network's own: name, channels in and out.
        supernet: the full configuration of a supernet; None for any other network.
        architecture: what a search has left of the supernet; empty: everything.
        behaviour: digests of a network of torchvision or of a user's factory (``models/behaviour.py``); None
            for built-ins and supernets, whose code is that of this version, and in files of older versions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, StringConstraints(min_length=1, max_length=NAME_LENGTH)]
    num_classes: Annotated[int, Field(ge=2, le=100_000)]
    channels: Annotated[int, Field(ge=1, le=16)]
    image_size: tuple[Side, Side]
    mean: Annotated[tuple[Annotated[float, Field(ge=0.0, le=1.0)], ...], Field(min_length=1, max_length=16)]
    std: Annotated[tuple[Annotated[float, Field(ge=1e-6, le=1.0)], ...], Field(min_length=1, max_length=16)]
    ignore_layers: Annotated[tuple[Pattern, ...], Field(max_length=MOST_PATTERNS)] = ()
    removed_blocks: Annotated[tuple[Layer, ...], Field(max_length=1024)] = ()
    narrowed: Annotated[tuple[tuple[Layer, Width, Width], ...], Field(max_length=4096)] = ()
    supernet: Supernet | None = None
    architecture: Annotated[tuple[BlockWidths, ...], Field(max_length=4096)] = ()
    behaviour: Behaviour | None = None

    @property
    def is_reduced(self) -> bool:
        """Whether it is physically smaller than the network of its name."""
        return bool(self.removed_blocks or self.narrowed or self.architecture)

    def restored(self) -> Self:
        """Return the specification of the full network."""
        return self.model_copy(update={"removed_blocks": (), "narrowed": (), "architecture": ()})

    def for_network(
        self, name: str, *, supernet: Supernet | None = None, ignore_layers: tuple[str, ...] = ()
    ) -> Self:
        """Return the specification of another full network for the same images."""
        changes = {"name": name, "supernet": supernet, "ignore_layers": ignore_layers, "behaviour": None}
        return self.restored().model_copy(update=changes)

    @model_serializer(mode="wrap")
    def _leave_out_what_is_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # So that fingerprints and files stay what they were before networks could be reduced or be supernets.
        record: dict[str, Any] = handler(self)
        for name in ("removed_blocks", "narrowed", "supernet", "architecture", "behaviour"):
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

    @model_validator(mode="after")
    def _only_a_supernet_has_its_parts(self) -> Self:
        if (self.name == SUPERNET) != (self.supernet is not None):
            raise ValueError(
                f"a specification has a supernet if and only if its name is {SUPERNET!r}, not {self.name!r}"
            )
        if self.supernet is None and self.architecture:
            raise ValueError(f"architecture is for supernets; the network {self.name!r} has none")
        if self.behaviour is not None and self.name in (*BUILT_IN_MODELS, SUPERNET):
            raise ValueError(
                f"behaviour is for networks outside this package, but {self.name!r} is a built-in"
            )
        if self.supernet is not None and (self.removed_blocks or self.narrowed):
            raise ValueError(
                "a supernet becomes smaller by its architecture, not by removed_blocks or narrowed"
            )
        return self
