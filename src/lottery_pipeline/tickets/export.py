"""Exporting a ticket: a folder with its weights and a file that says what they are.

Folder, format version 2. ``weights.safetensors``: the full state dict under the names of the model, pruned
weights exactly 0; every safetensors reader opens it. ``architecture.json``: an ``Architecture``, with the
SHA-256 of the weights file, so that a mixture of two exports is refused, and with one of its own content.
Version 1 had no sum of its own content; it is read, with a warning.
"""

import hashlib
import json
import logging
import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import nn

from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options.faults import describe_file_fault
from lottery_pipeline.reproducibility.files import stat_regular, write_atomically
from lottery_pipeline.reproducibility.fingerprints import fingerprint
from lottery_pipeline.tickets.blueprint import Blueprint, check_entries, check_values, draw_blueprint
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.header import Chain, Method, Sha256, Text, library_versions
from lottery_pipeline.tickets.tensor_file import (
    MAX_ELEMENTS,
    MAX_TABLE_BYTES,
    TensorFile,
    open_tensor_file,
    tensor_file_bytes,
)
from lottery_pipeline.tickets.ticket import Ticket

ARCHITECTURE_FILE = "architecture.json"
WEIGHTS_FILE = "weights.safetensors"
WEIGHTS_KEY = "lottery_pipeline.weights"
FORMAT_VERSION = 2

logger = logging.getLogger(__name__)


class Input(BaseModel):
    """What the module takes: float32 images [N, C, H, W], pixels in [0, 1].

    Attributes:
        shape: channels, height, width of one image.
        dtype: of the pixels.
        range: least and greatest value of a pixel.
        normalisation: ``inside``: the module subtracts the mean and divides by the deviation itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: tuple[int, int, int]
    dtype: Literal["float32"] = "float32"
    range: tuple[Literal[0], Literal[1]] = (0, 1)
    normalisation: Literal["inside"] = "inside"


class Architecture(BaseModel):
    """All but the weights of an exported ticket; fields not named here are those of ``TicketHeader``.

    Attributes:
        format_version: version of the folder's format.
        fingerprint: of the ticket.
        input: what the module takes.
        classes: number of logits.
        weights_sha256: SHA-256 of the weights file, as ``sha256sum`` gives it.
        versions: versions of the libraries that exported it.
        sha256: of all other fields, as canonical JSON; None in version 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format_version: Literal[1, 2]
    kind: Literal["ticket", "trained"]
    method: Chain
    spec: ModelSpec
    density: Annotated[float, Field(gt=0, le=1)]
    kept: Annotated[int, Field(ge=1, le=MAX_ELEMENTS)]
    prunable: Annotated[int, Field(ge=1, le=MAX_ELEMENTS)]
    fingerprint: Sha256
    parents: dict[Method, Text]
    input: Input
    classes: int
    weights_sha256: Sha256
    versions: dict[Method, Text]
    sha256: Sha256 | None = None

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.density != self.kept / self.prunable:
            raise ValueError("density is not kept / prunable")
        if (self.format_version == 1) != (self.sha256 is None):
            raise ValueError(f"sha256 stands in version {FORMAT_VERSION} and only there")
        if (*self.input.shape, self.classes) != _shapes(self.spec):
            raise ValueError("input and classes are not those of the spec")
        return self


def export_ticket(ticket: Ticket, folder: str | Path) -> tuple[Path, Path]:
    """Write a ticket as a folder that ``load_exported`` turns into a module; each file is written atomically.

    Args:
        ticket: usually a trained one; ``kind`` in the architecture file says which it is. An untrained ticket
            gives the module with its start weights.
        folder: created if needed; an older export in it is replaced.

    Returns:
        The paths of weights and architecture.

    Raises:
        TicketError: the model has too many tensors for one file.
    """
    header = ticket.header
    weights = tensor_file_bytes(ticket.state, {"fingerprint": header.fingerprint}, key=WEIGHTS_KEY)
    channels, height, width, classes = _shapes(header.spec)
    architecture = Architecture(
        format_version=FORMAT_VERSION,
        kind=header.kind,
        method=header.method,
        spec=header.spec,
        density=header.density,
        kept=header.kept,
        prunable=header.prunable,
        fingerprint=header.fingerprint,
        parents=header.parents,
        input=Input(shape=(channels, height, width)),
        classes=classes,
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        versions=library_versions(),
        sha256="0" * 64,
    )
    page = architecture.model_dump(mode="json")
    page["sha256"] = sum_page(page)
    paths = Path(folder) / WEIGHTS_FILE, Path(folder) / ARCHITECTURE_FILE
    write_atomically(paths[0], weights)
    write_atomically(paths[1], f"{json.dumps(page, indent=2)}\n".encode())
    return paths


def load_exported(folder: str | Path, allow_factory: str | None = None) -> nn.Module:
    """Build the module of an exported ticket, trusting nothing in the folder.

    Args:
        folder: what ``export_ticket`` wrote.
        allow_factory: a ``package.module:factory`` of your own that the module may be built with; any other
            import path in the folder is refused.

    Returns:
        A module in eval mode, on the CPU: pixels in [0, 1], [N, C, H, W], to logits [N, classes].

    Raises:
        TicketError: the folder is not a valid export; one sentence that names the file.
    """
    architecture, blueprint = _read_architecture(Path(folder) / ARCHITECTURE_FILE, allow_factory)
    path = Path(folder) / WEIGHTS_FILE
    with open_tensor_file(path, key=WEIGHTS_KEY) as file:
        _check_layout(file, blueprint)
        with path.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != architecture.weights_sha256:
                raise TicketError(
                    f"its SHA-256 is not the one in {ARCHITECTURE_FILE}: it is damaged or from another export"
                )
        _check_tensors(file, blueprint, architecture.kept)
        state = {name: file.read(name) for name in blueprint.state}
    model = build_model(architecture.spec, seed=0, allow_factory=allow_factory)
    model.load_state_dict(state)
    return model.eval()


def sum_page(page: dict[str, Any]) -> str:
    """Return the SHA-256 of an architecture file's content without the sum itself.

    This finds damage and edits, not forgery: whoever writes a file can write a matching sum.
    """
    return fingerprint({name: value for name, value in page.items() if name != "sha256"})


def _shapes(spec: ModelSpec) -> tuple[int, int, int, int]:
    return spec.channels, *spec.image_size, spec.num_classes


def _read_architecture(path: Path, allow_factory: str | None) -> tuple[Architecture, Blueprint]:
    try:
        stat_regular(path)
        with path.open("rb") as stream:
            content = stream.read(MAX_TABLE_BYTES + 1)
        if len(content) > MAX_TABLE_BYTES:
            raise TicketError(f"it is longer than {MAX_TABLE_BYTES} bytes")
        architecture = _parse(content)
        if architecture.sha256 is None:
            logger.warning(
                "%s is of an older version, without a sum of its content: it is used as it is.", path
            )
        elif architecture.sha256 != sum_page(json.loads(content)):
            raise TicketError("its SHA-256 is not that of its content: it was changed after it was written")
        blueprint = draw_blueprint(architecture.spec, allow_factory)
        if architecture.prunable != sum(map(math.prod, blueprint.prunable.values())):
            raise TicketError("prunable is not the number of prunable weights of its model")
    except TicketError as error:
        raise TicketError(f"cannot use {path}: {error}") from error
    except OSError as error:
        raise TicketError(f"cannot use {path}: it cannot be read ({error.strerror or error})") from error
    return architecture, blueprint


def _parse(content: bytes) -> Architecture:
    try:
        return Architecture.model_validate_json(content)
    except ValidationError as error:
        raise TicketError(describe_file_fault(Architecture, error)) from error


def _check_layout(file: TensorFile, blueprint: Blueprint) -> None:
    check_entries(file.entries, set(blueprint.state))
    for name, entry in file.entries.items():
        blueprint.check_state(name, entry.dtype, entry.shape)


def _check_tensors(file: TensorFile, blueprint: Blueprint, kept: int) -> None:
    """Check every value, piece by piece; memory is taken only afterwards."""
    found = 0
    for name in blueprint.state:
        for chunk in file.chunks(name):
            check_values(name, chunk)
            found += int(chunk.count_nonzero()) if name in blueprint.prunable else 0
    if found > kept:  # there can be fewer: a kept weight may be 0
        raise TicketError(f"{found} prunable weights are not 0, but {ARCHITECTURE_FILE} says {kept} are kept")
