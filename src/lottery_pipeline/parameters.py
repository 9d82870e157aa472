"""The parameters of a run as Kedro sees them: one typed group each; unknown keys are refused.

Imports no torch: this module is read by every ``kedro`` command.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)

from lottery_pipeline.images.request import ImageRequest
from lottery_pipeline.models.choice import check_choice, resolve_choice
from lottery_pipeline.models.weights.choice import names_torchvision, resolve_weights
from lottery_pipeline.options import (
    COMPOSITIONS,
    METHODS,
    ControlOptions,
    CostOptions,
    Method,
    SanityOptions,
)
from lottery_pipeline.options.allowed import annotate
from lottery_pipeline.options.faults import describe_faults, name_unknown_key
from lottery_pipeline.options.lists import Group
from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.options.ownership import AttackOptions, SignatureOptions, VerificationOptions
from lottery_pipeline.options.robustness import RobustnessOptions
from lottery_pipeline.options.scalars import Device, FilePath, LeftOutBlocks, Seed, Threads, Variant
from lottery_pipeline.options.supertickets_study import StudyOptions
from lottery_pipeline.options.supertickets_transfer import TransferOptions
from lottery_pipeline.options.sweep_report import SweepReportOptions
from lottery_pipeline.options.tracking import TrackingParameters
from lottery_pipeline.training.recipe import Recipe

if TYPE_CHECKING:
    from lottery_pipeline.reproducibility.checkpoints import Checkpoints

DataParameters = ImageRequest


class ParametersError(ValueError):
    """Parameters with which no run can start; one sentence for each fault."""


class ModelParameters(Group):
    """Which network, which weights it starts from, and which of its layers are never pruned.

    Attributes:
        name: a built-in, ``supernet:<preset>``, ``supernet:<path>.json``, ``torchvision:<name>`` or
            ``package.module:factory``.
        weights: theta_0: path of a safetensors file or of a state dict that ``torch.save`` has written, or
            the name of weights of torchvision such as ``IMAGENET1K_V1``; null draws theta_0 from the seed.
        mean: mean that the network takes off the pixels, in [0, 1] pixel units, per channel or one for all;
            by default that of the training images, and for named weights of torchvision theirs.
        std: standard deviation that it divides them by, likewise.
        ignore_layers: fnmatch patterns on layer names, such as ``fc`` or ``layer1.*``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: str
    weights: FilePath | None = None
    mean: tuple[Annotated[float, Field(ge=0, le=1)], ...] | None = None
    std: tuple[Annotated[float, Field(ge=1e-6, le=1)], ...] | None = None
    ignore_layers: tuple[str, ...] = ()

    @field_validator("name")
    @classmethod
    def _is_a_model_name(cls, name: str) -> str:
        check_choice(name)
        return name

    @model_validator(mode="after")
    def _normalises_by_both_or_by_none(self) -> Self:
        if (self.mean is None) != (self.std is None) or len(self.mean or ()) != len(self.std or ()):
            raise ValueError("mean and std must be given together, one value each or one for each channel")
        return self

    def find_statistics(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Return mean and standard deviation per channel that the network was trained with, if known."""
        if self.mean is not None and self.std is not None:
            copies = channels if len(self.mean) == 1 else 1
            return self.mean * copies, self.std * copies
        if self.weights is None or not names_torchvision(self.weights) or channels != 3:
            return None
        from lottery_pipeline.models.weights.torchvision_cache import find_statistics

        return find_statistics(self.weights, self.name)

    def resolve(self, project: Path) -> Self:
        """Let the relative paths of a supernet and of weights start at the project folder."""
        weights = None if self.weights is None else resolve_weights(self.weights, project)
        return self.model_copy(update={"name": resolve_choice(self.name, project), "weights": weights})


class PretrainingParameters(Recipe):
    """The dense recipe and the rewind point.

    Attributes:
        rewind_epoch: epoch of dense training whose weights a rewound ticket starts from.
    """

    rewind_epoch: float = Field(ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _rewinds_before_the_end(self) -> Self:
        if self.epochs is not None and self.rewind_epoch >= self.epochs:
            raise ValueError(
                f"rewind_epoch is {write_number(self.rewind_epoch)}, but training ends after "
                f"{write_number(self.epochs)} epochs; "
                f"it must be at least 0 and less than {write_number(self.epochs)}"
            )
        return self

    def recipe(self) -> Recipe:
        """Return the dense recipe alone."""
        return Recipe(**self.model_dump(exclude={"rewind_epoch"}))


class _Changes(Group):
    """Changes to another recipe: keys that are not given keep that recipe's values."""

    def recipe(self, pretraining: PretrainingParameters) -> Recipe:
        """Return the dense recipe with these changes; a ``name`` starts from that named recipe instead."""
        given = self.model_fields_set & Recipe.model_fields.keys()
        return pretraining.recipe().replace(**{key: getattr(self, key) for key in sorted(given)})


# Every field of Recipe, made optional: a new field of Recipe cannot be forgotten here.
_OPTIONAL_FIELDS: dict[str, Any] = {
    name: (annotate(field) | None, None) for name, field in Recipe.model_fields.items()
}
_RecipeChanges: Any = create_model("_RecipeChanges", __base__=_Changes, **_OPTIONAL_FIELDS)


class RetrainingParameters(_RecipeChanges):
    """How tickets are searched for and retrained: changes to the dense recipe."""


class SparseRetrainingParameters(_RecipeChanges):
    """How pipeline ``sparse_retraining`` trains a stored ticket: changes to the dense recipe.

    Attributes:
        rung: rung of the stored ladder; the ticket itself if not given.
    """

    rung: Annotated[int, Field(strict=True, ge=0, le=255)] | None = None


class WorkParameters(Group):
    """Where a run finds what earlier runs have finished, and keeps what it has not.

    Attributes:
        experiment: name of the experiment.
        variant: name of the variant.
        images: file of the prepared images; they are reused if they are those asked for.
        models: folder of the dense runs; each is reused likewise.
        checkpoints: folder of interrupted computations.
        interval_seconds: least time between two checkpoints of a computation.
        limit: largest number of checkpoint files; the oldest go first.
        concurrency: how many controls of a ladder are trained at once, each in a process of its own.
    """

    experiment: str
    variant: str
    images: Path
    models: Path
    checkpoints: Path
    interval_seconds: float = Field(default=15.0, ge=0, allow_inf_nan=False)
    limit: int = Field(default=16, ge=1)
    concurrency: int = Field(default=1, ge=1, le=256)

    def resolve(self, project: Path) -> Self:
        """Let relative paths start at the project folder, whatever folder the command runs in."""
        paths = {name: project / getattr(self, name) for name in ("images", "models", "checkpoints")}
        return self.model_copy(update=paths)

    def open_checkpoints(self) -> "Checkpoints":
        """Return the checkpoints, one object for all nodes of a process."""
        from lottery_pipeline.reproducibility.checkpoints import open_checkpoints

        return open_checkpoints(self.checkpoints, self.interval_seconds, self.limit)


def _method_group(method: Method, *, with_controls: bool) -> type[BaseModel]:
    """Return the type of the parameters under a method's name."""
    controls: dict[str, Any] = {"controls": (ControlOptions, ControlOptions())} if with_controls else {}
    return create_model(
        "MethodParameters",
        __base__=Group,
        extraction=(method.options, ...),
        **controls,
    )


METHOD_GROUPS = {
    name: _method_group(method, with_controls=method.has_controls) for name, method in METHODS.items()
}
COMPOSED_GROUPS = {
    name: _method_group(method, with_controls=False) for name, (_, method) in COMPOSITIONS.items()
}
GROUPS: dict[str, Any] = {
    "seed": Seed,
    "device": Device,
    "threads": Threads,
    "data": DataParameters,
    "model": ModelParameters,
    "pretraining": PretrainingParameters,
    "retraining": RetrainingParameters,
    "sparse_retraining": SparseRetrainingParameters,
    "sanity_checks": SanityOptions,
    "supertickets_study": StudyOptions,
    "supertickets_transfer": TransferOptions,
    "signature_embedding": SignatureOptions,
    "ownership_verification": VerificationOptions,
    "ownership_attacks": AttackOptions,
    "robustness_evaluation": RobustnessOptions,
    "sweep_report": SweepReportOptions,
    "costs": CostOptions,
    "work": WorkParameters,
    "tracking": TrackingParameters,
    **METHOD_GROUPS,
    **COMPOSED_GROUPS,
}
CHANGES = ("retraining", "sparse_retraining")  # of the recipe of pretraining
# Given with --params only: where the run is stored, whose images and dense run it reads, what it does
# without, which ticket is retrained or signed, what is verified.
RUNTIME_GROUPS: dict[str, Any] = {
    "variant": Variant,
    "shared": Variant,
    "left_out": LeftOutBlocks,
    "ticket": Literal[(*METHOD_GROUPS, *COMPOSED_GROUPS)],
    **dict.fromkeys(("suspect", "credential", "disclosure", "predictions"), FilePath),
}


def check_parameters(raw: Mapping[str, Any], same: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Check all parameters of a run, before anything is computed.

    Args:
        raw: parameters as read from the configuration and ``--params``, not yet typed.
        same: groups that an earlier check has returned for the same values, which are taken as they are.

    Returns:
        The typed groups by name.

    Raises:
        ParametersError: one sentence for each fault, naming the parameter, the value and what is allowed.
    """
    faults: list[str] = []
    checked: dict[str, Any] = {}
    same = same or {}
    known = {**GROUPS, **RUNTIME_GROUPS}
    faults += [name_unknown_key(name, known) for name in raw if name not in known]
    faults += [f"Parameter {name} is missing from the configuration." for name in GROUPS if name not in raw]
    for name in known.keys() & raw.keys():
        if name in same:
            checked[name] = same[name]
            continue
        try:
            checked[name] = TypeAdapter(known[name]).validate_python(raw[name])
        except ValidationError as error:
            faults += describe_faults(name, known[name], error)
    if not {"pretraining", *CHANGES} <= same.keys():
        faults += _check_recipes(checked)
    if faults:
        raise ParametersError("\n".join(sorted(faults)))
    return checked


def to_plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Turn parameters, typed or not, into plain JSON."""
    plain: dict[str, Any] = {}
    for name, value in parameters.items():
        if isinstance(value, BaseModel):
            # Only the changes that were made: two dozen nulls would tell nobody anything.
            changes = isinstance(value, _Changes)
            plain[name] = value.model_dump(mode="json", by_alias=True, exclude_unset=changes)
        else:
            plain[name] = to_plain(value) if isinstance(value, Mapping) else value
    return plain


def _check_recipes(checked: Mapping[str, Any]) -> Iterator[str]:
    """Yield the faults that appear only once the changes are applied to their recipe."""
    pretraining = checked.get("pretraining")
    for name in CHANGES:
        if pretraining is None or name not in checked:
            continue
        try:
            recipe = checked[name].recipe(pretraining)
        except ValidationError as error:
            yield from describe_faults(name, GROUPS[name], error)
            continue
        if recipe.epochs is not None and pretraining.rewind_epoch >= recipe.epochs:
            yield (
                f"Parameter pretraining.rewind_epoch is {write_number(pretraining.rewind_epoch)}, but "
                f"{name} ends after "
                f"{write_number(recipe.epochs)} epochs: a rewound ticket would not be trained at all."
            )
