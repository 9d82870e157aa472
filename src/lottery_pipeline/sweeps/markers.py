"""The file that a point leaves beside its records: whether it runs, is done or has failed, and its rows."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lottery_pipeline.reproducibility.files import stat_regular, write_atomically

logger = logging.getLogger(__name__)

MARKER = "point.json"
FORMAT = 1
RUNNING, DONE, FAILED = "running", "done", "failed"
_LARGEST = 2**26  # bytes


def read_marker(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    """Read what a point has left.

    Args:
        folder: of its records.
        fingerprint: of the point as it is planned now.

    Returns:
        None if there is nothing, or only what other parameters or another version have left. A damaged file
        counts as nothing, with a warning.
    """
    path = folder / MARKER
    try:
        if stat_regular(path).st_size > _LARGEST:
            raise ValueError("it is too large")
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise TypeError("it holds no object")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        logger.warning("%s cannot be used (%s); the point is computed again.", path, error)
        return None
    fits = content.get("format") == FORMAT and content.get("fingerprint") == fingerprint
    return content if fits else None


def write_marker(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the file atomically."""
    text = json.dumps({"format": FORMAT, **content}, allow_nan=False)
    write_atomically(folder / MARKER, text.encode())
