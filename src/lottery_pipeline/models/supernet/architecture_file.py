"""The file of a found architecture: what ``model.name=supernet:<path>.json`` reads. Imports no torch."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.supernet.architecture import BlockWidths
from lottery_pipeline.models.supernet.config import Supernet
from lottery_pipeline.models.supernet.layout import check_architecture
from lottery_pipeline.options.faults import describe_file_fault
from lottery_pipeline.reproducibility.files import stat_regular

MAX_BYTES = 4 * 2**20

Key = Annotated[str, StringConstraints(max_length=64)]
Cell = int | float | bool | None | Annotated[str, StringConstraints(max_length=1000)]
Row = Annotated[dict[Key, Cell], Field(max_length=64)]


class ArchitectureFile(BaseModel):
    """A supernet and what a search has left of it.

    Attributes:
        format_version: of this file.
        supernet: the full configuration.
        architecture: widths by block.
        blocks: a table for people; nothing is built from it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format_version: Literal[1]
    supernet: Supernet
    architecture: Annotated[tuple[BlockWidths, ...], Field(max_length=4096)] = ()
    blocks: Annotated[tuple[Row, ...], Field(max_length=4096)] = ()


def read_architecture(path: Path) -> ArchitectureFile:
    """Read the file of an architecture; its size is checked before it is read.

    Raises:
        ModelError: there is no such file, or it is not one of an architecture; one sentence.
    """
    try:
        stat_regular(path)
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ModelError(f"the architecture {path} cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_BYTES:
        raise ModelError(f"the architecture {path} has more than the {MAX_BYTES} bytes that are allowed")
    try:
        found = ArchitectureFile.model_validate_json(content)
        if found.architecture:
            check_architecture(found.supernet, found.architecture)
    except ValidationError as error:
        fault = describe_file_fault(ArchitectureFile, error)
        raise ModelError(f"{path} is not the file of an architecture: {fault}") from error
    except ModelError as error:
        raise ModelError(f"{path} is not the file of an architecture: {error}") from error
    return found
