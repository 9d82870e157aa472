"""The artefacts of a sweep, by their hashes: two sweeps are compared by them."""

import json
import re
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from lottery_pipeline.reproducibility.fingerprints import fingerprint, fingerprint_tensors
from lottery_pipeline.reproducibility.measured import MEASURED
from lottery_pipeline.training.history import CLOCK_COLUMNS

_VERSION = re.compile(r"\d{4}-\d\d-\d\dT")


def hash_artefacts(folder: Path) -> dict[str, dict[str, str]]:
    """Return a hash of every artefact of a sweep, by point and by its path without the version.

    Of files with tensors all bytes of all tensors count, of records all but what was measured.
    """
    found: dict[str, dict[str, str]] = {}
    for path in sorted(
        [*folder.glob("0[367]_*/*/*/**/*.safetensors"), *folder.glob("07_*/*/*/*/record.json")]
    ):
        if path.is_file():
            _, _, variant, *parts = path.relative_to(folder).parts
            name = "/".join(dict.fromkeys(part for part in parts if not _VERSION.match(part)))
            found.setdefault(variant, {})[name] = hash_artefact(path)
    return found


def hash_artefact(path: Path) -> str:
    """Return the SHA-256 of all tensors of a file, or of a record without what was measured."""
    if path.suffix == ".safetensors":
        return fingerprint_tensors(load_file(path))
    record = json.loads(path.read_bytes())
    record["metrics"].pop(MEASURED, None)
    tables = {key: drop_clocks(rows) for key, rows in record.items() if isinstance(rows, list)}
    return fingerprint({**record, **tables})


def drop_clocks(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows without what a clock has measured."""
    return [{key: value for key, value in row.items() if key not in CLOCK_COLUMNS} for row in rows]
