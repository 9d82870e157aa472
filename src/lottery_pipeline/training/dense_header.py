"""The header of a dense run's file, and the checks of a file that may come from anywhere."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lottery_pipeline.models.names import is_factory
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.weights.record import WeightsRecord
from lottery_pipeline.options.faults import describe_file_fault
from lottery_pipeline.reproducibility.files import stat_regular
from lottery_pipeline.reproducibility.fingerprints import FINGERPRINT_LENGTH, fingerprint, fingerprint_tensors
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import State

PARTS = ("initial", "rewind", "final")
HEADER_KEY = "dense_run"
_LONGEST_HEADER = 2**26
_DTYPES = {torch.float32: "F32", torch.int64: "I64", torch.bool: "BOOL"}  # as safetensors names them
_Fingerprint = Annotated[str, Field(pattern=f"^[0-9a-f]{{{FINGERPRINT_LENGTH}}}$")]
_Number = int | float | None
_Name = Annotated[str, Field(max_length=32)]
_Text = Annotated[str, Field(max_length=256)]


class DenseRunError(ValueError):
    """A dense run that is damaged, or that does not belong to the images or the model at hand."""


class OutdatedDenseRunError(DenseRunError):
    """A dense run of an older version, whose content cannot be checked."""


class Header(BaseModel):
    """JSON header of a dense-run file. The file may come from anywhere, so every field is checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format_version: Literal[1] = 1
    spec: ModelSpec
    recipe: Recipe
    seed: int = Field(ge=0, lt=2**63)
    rewind_step: int = Field(ge=0)
    history: list[dict[str, _Number]]
    metrics: dict[str, _Number | _Name]
    images_fingerprint: _Fingerprint
    fingerprint: _Fingerprint
    arithmetic: dict[_Name, _Number | bool | _Text] = Field(default_factory=dict)
    weights: WeightsRecord | None = None
    sha256: _Fingerprint | None = None  # of the rest of the header and all tensors

    @field_validator("metrics")
    @classmethod
    def _only_the_name_of_the_metric_is_text(
        cls, metrics: dict[str, _Number | _Name]
    ) -> dict[str, _Number | _Name]:
        words = [name for name, value in metrics.items() if isinstance(value, str) and name != "metric"]
        if words:
            raise ValueError(f"{words[0]} must be a number")
        return metrics


HEADER_FIELDS = tuple(name for name in Header.model_fields if name not in ("format_version", "sha256"))


def check_header_length(path: Path) -> None:
    """Check that it is a regular file, and the header length it states, before anything reads that much."""
    size = stat_regular(path).st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > min(_LONGEST_HEADER, size):
        raise DenseRunError("it is cut off, or it is not a safetensors file")


def read_header(path: Path) -> Header:
    """Read and check only the header of a dense run's file; no tensor is read.

    Raises:
        DenseRunError: the file has no such header.
    """
    check_header_length(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return check_header(read_record(file.metadata()))
    except SafetensorError as error:
        raise DenseRunError(f"it is not a safetensors file: {error}") from error


def read_record(metadata: dict[str, str] | None) -> dict[str, Any]:
    """Return the JSON object in the metadata of a file, or raise ``DenseRunError``."""
    try:
        return dict(json.loads((metadata or {})[HEADER_KEY]))
    except KeyError as error:
        raise DenseRunError("it has no dense-run header") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise DenseRunError("its header is not a JSON object") from error


def check_header(record: dict[str, Any]) -> Header:
    """Return the typed header, or raise ``DenseRunError`` for the first field at fault."""
    try:
        return Header.model_validate(record)
    except ValidationError as error:
        raise DenseRunError(f"its header is wrong: {describe_file_fault(Header, error)}") from error


def checksum(record: dict[str, Any], tensors: State) -> str:
    """Hash the tensors and the header without the sum itself; this finds damage, not forgery."""
    header = {name: value for name, value in record.items() if name != "sha256"}
    return fingerprint({"header": header, "tensors": fingerprint_tensors(tensors)})


def check_index(index: dict[str, Any], header: Header) -> None:
    """Compare names, types and shapes with the specified network, before any tensor is created."""
    found: dict[str, dict[str, tuple[str, list[int]]]] = {part: {} for part in PARTS}
    for key, entry in index.items():
        part, _, name = key.partition("/")
        if part not in found:
            raise DenseRunError(f"tensor {key!r} does not belong in it")
        found[part][name] = (entry.get_dtype(), entry.get_shape())
    for part in PARTS[1:]:
        if found[part] != found["initial"]:
            raise DenseRunError(f"its {part} state and its initial state differ in names, types or shapes")
    if is_factory(header.spec.name):
        return
    model = build_model(header.spec, seed=0, device="meta")
    expected = {name: (_DTYPES.get(t.dtype), list(t.shape)) for name, t in model.state_dict().items()}
    if found["initial"] != expected:
        raise DenseRunError(f"its tensors are not those of the network {header.spec.name}")


def check_values(tensors: dict[str, Tensor]) -> None:
    """Refuse values that are not finite."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise DenseRunError(f"tensor {name!r} holds values that are not finite")
