"""The headers of ticket and ladder files: provenance in plain JSON, bounded field by field."""

import math
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    model_serializer,
    model_validator,
)

import lottery_pipeline
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options import MAX_ROUNDS
from lottery_pipeline.options.faults import describe_file_fault
from lottery_pipeline.reproducibility.fingerprints import fingerprint
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.short_header import lengthen_header
from lottery_pipeline.tickets.tensor_file import (
    MAX_DIMENSIONS,
    MAX_ELEMENTS,
    TensorFile,
    canonical,
    open_tensor_file,
)

TICKET_KEY = "lottery_pipeline.ticket"

Text = Annotated[str, StringConstraints(pattern=r"^[ -~]{1,256}$")]
Shape = Annotated[tuple[Annotated[int, Field(ge=1, le=MAX_ELEMENTS)], ...], Field(max_length=MAX_DIMENSIONS)]
Method = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
# A ticket that starts from another names both: layer>cts.
Chain = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}(>[a-z][a-z0-9_]{0,63}){0,7}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Step = Annotated[int, Field(ge=0, lt=2**53)]
StepsPerEpoch = Annotated[int, Field(ge=1, lt=2**53)] | None
HeaderModel = TypeVar("HeaderModel", bound=BaseModel)


class LayerHeader(BaseModel):
    """One prunable layer: parameter name, shape and number of kept weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text
    shape: Shape
    kept: Annotated[int, Field(ge=0)]

    @property
    def size(self) -> int:
        """Number of weights of the layer."""
        return math.prod(self.shape)

    @property
    def density(self) -> float:
        """Kept / all weights of the layer."""
        return self.kept / self.size


class TicketHeader(BaseModel):
    """What a ticket is and where it comes from.

    Attributes:
        format_version: version of the file; no part of the fingerprint.
        kind: ``ticket`` (state = start weights) or ``trained`` (state = final weights).
        method: name of the extraction method, after those of its parents (``layer>cts``).
        spec: the model.
        seed: seed of the run.
        density: ``kept / prunable``, exactly.
        kept: number of surviving weights, k.
        prunable: number of prunable weights, D.
        rewind_step: the step of the dense run at which the start weights were taken.
        steps_per_epoch: of the dense run, in which ``rewind_step`` counts; None (and not in the file) for
            step 0, and in files of older versions.
        fingerprint: SHA-256 over this header without ``versions``, and over the tensors (``layout``).
        parents: fingerprints of what the ticket was made from, by role (``dense``, ``images``, ``parent``,
            ``ticket``).
        versions: versions of the libraries that made it.
        layers: the prunable layers in model order.
        metrics: results of the training (``kind="trained"``); nothing that depends on time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format_version: Literal[1, 2] = 2
    kind: Literal["ticket", "trained"]
    method: Chain
    spec: ModelSpec
    seed: Seed
    density: Annotated[float, Field(gt=0, le=1)]
    kept: Annotated[int, Field(ge=1)]
    prunable: Annotated[int, Field(ge=1, le=MAX_ELEMENTS)]
    rewind_step: Step
    steps_per_epoch: StepsPerEpoch = None
    fingerprint: Sha256
    parents: dict[Method, Text]
    versions: dict[Method, Text]
    layers: Annotated[tuple[LayerHeader, ...], Field(min_length=1)]
    metrics: dict[Method, float] = Field(default_factory=dict)

    @model_serializer(mode="wrap")
    def _leave_out_what_is_not_known(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _drop_missing(write(self))

    @model_validator(mode="after")
    def _check_sums(self) -> Self:
        if self.steps_per_epoch is not None and not self.rewind_step:
            raise ValueError("steps_per_epoch belongs to a rewind step")
        if len({layer.name for layer in self.layers}) != len(self.layers):
            raise ValueError("a layer is listed twice")
        if any(layer.kept > layer.size for layer in self.layers):
            raise ValueError("a layer keeps more weights than it has")
        if sum(layer.kept for layer in self.layers) != self.kept:
            raise ValueError("kept is not the sum over the layers")
        if sum(layer.size for layer in self.layers) != self.prunable:
            raise ValueError("prunable is not the sum over the layers")
        if self.density != self.kept / self.prunable:
            raise ValueError("density is not kept / prunable")
        return self


class LadderRow(BaseModel):
    """What is known about one trained rung.

    Attributes:
        rung: 0 is the dense network.
        density: kept / prunable.
        kept: surviving weights.
        prunable: D.
        test_accuracy: of the final weights, a fraction.
        validation_accuracy: same, None without validation images.
        early_stop_step: step of least validation loss.
        early_stop_validation_loss: that loss, None without validation images.
        epochs: trained from the start point.
        seconds: of training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rung: Annotated[int, Field(ge=0, le=MAX_ROUNDS)]
    density: Annotated[float, Field(gt=0, le=1)]
    kept: Annotated[int, Field(ge=1)]
    prunable: Annotated[int, Field(ge=1)]
    test_accuracy: Annotated[float, Field(ge=0, le=1)]
    validation_accuracy: Annotated[float, Field(ge=0, le=1)] | None
    early_stop_step: Annotated[int, Field(ge=0)]
    early_stop_validation_loss: float | None
    epochs: Annotated[float, Field(ge=0)]
    seconds: Annotated[float, Field(ge=0)]


class LadderHeader(BaseModel):
    """Provenance of a ladder; fields as in ``TicketHeader``, ``counts`` = kept weights of rungs 0 to R."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format_version: Literal[1] = 1
    method: Method
    spec: ModelSpec
    seed: Seed
    rewind_step: Step
    steps_per_epoch: StepsPerEpoch = None
    counts: Annotated[tuple[int, ...], Field(min_length=1, max_length=MAX_ROUNDS + 1)]
    rows: Annotated[tuple[LadderRow, ...], Field(max_length=MAX_ROUNDS + 1)]
    parents: dict[Method, Text]
    versions: dict[Method, Text]
    fingerprint: Sha256

    @model_serializer(mode="wrap")
    def _leave_out_what_is_not_known(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _drop_missing(write(self))


def read_header(path: str | Path) -> TicketHeader:
    """Read and check only the header of a ticket file; no tensor is read and no model is built.

    Raises:
        TicketError: the file is not a ticket; one sentence that names it.
    """
    with open_tensor_file(path, key=TICKET_KEY) as file:
        return parse_header(file, TicketHeader)


def parse_header(file: TensorFile, model: type[HeaderModel]) -> HeaderModel:
    """Validate the JSON header of a file; a version we do not know is refused before anything else."""
    content = file.record["header"]
    version, known = content.get("format_version"), get_args(model.model_fields["format_version"].annotation)
    if type(version) is not int or version not in known:
        shown = version if type(version) is int and abs(version) < 10**6 else "unknown"
        read = " or ".join(map(str, known))
        raise TicketError(f"its format version is {shown}, but this release reads version {read}")
    if version == 2:
        content = lengthen_header(content)
    try:
        header = model.model_validate(content)
    except ValidationError as error:
        raise TicketError(f"its header is wrong: {describe_file_fault(model, error)}") from error
    if canonical(header.model_dump(mode="json")) != canonical(content):
        raise TicketError("its header has a value of the wrong type")
    return header


def _drop_missing(written: dict[str, Any]) -> dict[str, Any]:
    """Leave out an unknown ``steps_per_epoch``, so that the headers of older versions stay as they are."""
    missing = written.get("steps_per_epoch") is None
    return {name: value for name, value in written.items() if not missing or name != "steps_per_epoch"}


def library_versions() -> dict[str, str]:
    """Return the versions of what determines a result's last bits."""
    return {
        "lottery_pipeline": lottery_pipeline.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
    }


def identify(header: Mapping[str, Any], tensors: str) -> str:
    """Fingerprint an artefact: its header without versions and times, and the checksum of its tensors.

    The version of the file is left as 1, so that an artefact keeps its fingerprint in another version.
    """
    record = {key: value for key, value in header.items() if key not in ("fingerprint", "versions")}
    record["format_version"] = 1
    if "rows" in record:
        record["rows"] = [{key: row[key] for key in row if key != "seconds"} for row in record["rows"]]
    return fingerprint({**record, "tensors": tensors})
