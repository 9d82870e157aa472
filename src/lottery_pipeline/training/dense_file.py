"""The file of a dense run: written atomically, and read as if a stranger had written it."""

import json
import logging
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from lottery_pipeline.models.names import ModelError
from lottery_pipeline.reproducibility.checkpoints import without_shared_memory
from lottery_pipeline.reproducibility.files import replace_atomically
from lottery_pipeline.reproducibility.storage import set_aside
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.dense_header import (
    HEADER_FIELDS,
    HEADER_KEY,
    PARTS,
    DenseRunError,
    Header,
    OutdatedDenseRunError,
    check_header,
    check_header_length,
    check_index,
    check_values,
    checksum,
    read_record,
)

logger = logging.getLogger(__name__)


def save_dense_run(run: DenseRun, path: str | Path) -> None:
    """Write a dense run as one safetensors file with a checksum of its content, atomically."""
    fields = Header(**{name: getattr(run, name) for name in HEADER_FIELDS})
    record = json.loads(fields.model_dump_json(exclude={"sha256"}))
    tensors = {f"{part}/{name}": t.contiguous() for part in PARTS for name, t in getattr(run, part).items()}
    tensors = without_shared_memory(tensors)  # for k = 0, or with tied weights, parts share memory
    header = json.dumps({**record, "sha256": checksum(record, tensors)})
    with replace_atomically(path) as temporary:
        save_file(tensors, temporary, metadata={HEADER_KEY: header})


def load_dense_run(path: str | Path) -> DenseRun:
    """Read what ``save_dense_run`` wrote, trusting nothing in it.

    The three states must have the names, types and shapes of the network that the header specifies. For a
    user's own factory, whose code is not run here, they must match one another. All values must be finite,
    and the content must match the checksum stored beside it.

    Raises:
        FileNotFoundError: there is no such file.
        OutdatedDenseRunError: an older version wrote it, without that checksum.
        DenseRunError: the file is not a dense run, or is damaged.
    """
    try:
        check_header_length(Path(path))
        with safe_open(path, framework="pt", device="cpu") as file:
            record = read_record(file.metadata())
            header = check_header(record)
            check_index({name: file.get_slice(name) for name in file.keys()}, header)  # noqa: SIM118
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        check_values(tensors)
        if header.sha256 is None:
            raise OutdatedDenseRunError(
                f"{path} was written by an older version, without a SHA-256 sum of its content; "
                "remove it and run the pipeline that makes it (dense_pretraining makes the dense run)"
            )
        if header.sha256 != checksum(record, tensors):
            raise DenseRunError("its content does not agree with its SHA-256 sum, so it is damaged")
    except (FileNotFoundError, OutdatedDenseRunError):
        raise
    except (SafetensorError, OSError, DenseRunError, ModelError) as error:
        raise DenseRunError(
            f"{path} is not a valid dense run: {error}; remove it and run the pipeline that makes it "
            "(dense_pretraining makes the dense run)"
        ) from error
    content: dict[str, Any] = {name: getattr(header, name) for name in HEADER_FIELDS}
    for part in PARTS:
        prefix = f"{part}/"
        content[part] = {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
    return DenseRun(**content)


def find_dense_run(path: str | Path) -> DenseRun | None:
    """Read what ``save_dense_run`` wrote; None if there is no usable file.

    A file of an older version stays until it is replaced; a damaged one is set aside.

    Raises:
        DenseRunError: the file cannot be read now, though it may be sound.
    """
    if not Path(path).exists():
        return None
    try:
        return load_dense_run(path)
    except OutdatedDenseRunError as error:
        logger.warning("A stored dense run is computed again: %s.", error)
    except DenseRunError as error:
        if isinstance(error.__cause__, OSError):
            raise
        set_aside(path, error.__cause__ or error)
    return None
