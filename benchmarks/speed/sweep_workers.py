"""A sweep with one worker and with two: its time, and whether its artefacts are the same.

    python -m benchmarks.speed.sweep_workers [--folder FOLDER] [--output FILE]

The sweep `methods` of the default experiment: four methods, two densities, three seeds on digits, 24 points
and three dense runs. It is computed twice from nothing, first with two workers, then with one, as a user
does, the start of the workers included. Compared are all bytes of all tensors, and all values of the records
that are not measured. A folder that holds a finished sweep is not computed again.

The result is written to results/sweep_workers.json beside this script.

Found: RESULT
Machine: 2 cores of an AMD EPYC (AVX-512), one thread each, torch 2.14.1.
Runs: one of each.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from benchmarks.environment import describe_environment
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.reproducibility.fingerprints import fingerprint, fingerprint_tensors
from lottery_pipeline.reproducibility.measured import MEASURED
from lottery_pipeline.training.history import CLOCK_COLUMNS

PROJECT = Path(__file__).parents[2]
SWEEP = "methods"
_VERSION = re.compile(r"\d{4}-\d\d-\d\dT")


def main() -> None:
    """Measure, compare, print and record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="of the results; a temporary one without it")
    parser.add_argument("--env", help="another experiment than the default")
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "sweep_workers.json"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        seconds = {workers: run(folder / str(workers), workers, options.env) for workers in (2, 1)}
        found = {workers: read(folder / str(workers)) for workers in (2, 1)}
        points = read_seconds(folder / "1")
    different = sorted(key for key in found[1].keys() | found[2] if found[1].get(key) != found[2].get(key))
    result = {
        "environment": describe_environment(),
        "variants": len(found[1]),
        "artefacts": sum(len(files) for files in found[1].values()),
        "seconds": seconds,
        "ratio": seconds[2] / seconds[1],
        "point_seconds": points,
        "different": different,
    }
    print(f"{seconds[1]:.0f} s with one worker, {seconds[2]:.0f} s with two: {result['ratio']:.2f}")
    print(f"{len(different)} of {len(found[1])} variants differ")
    write_atomically(options.output, (json.dumps(result, indent=1) + "\n").encode())


def run(folder: Path, workers: int, env: str | None) -> float:
    """Compute the sweep as a command; return its seconds."""
    environment = {
        **os.environ,
        "LOTTERY_DATA_ROOT": str(folder),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
    }
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "kedro", "sweep", SWEEP, "--workers", str(workers)]
    began = time.monotonic()
    subprocess.run([*command, *(["--env", env] if env else [])], cwd=PROJECT, env=environment, check=True)
    return time.monotonic() - began


def read(folder: Path) -> dict[str, dict[str, str]]:
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


def read_seconds(folder: Path) -> dict[str, float]:
    """Return how long each point took."""
    markers = [json.loads(path.read_text()) for path in sorted(folder.glob("07_model_output/*/*/point.json"))]
    return {marker["key"]: marker["seconds"] for marker in markers}


if __name__ == "__main__":
    main()
