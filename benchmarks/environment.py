"""What a measurement ran on: a figure without it means nothing."""

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.training.device import describe_device


def describe_environment() -> dict[str, Any]:
    """Describe the processor, the library versions and the commit."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "arithmetic": describe_device("auto"),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "torchvision", "kedro", "numpy")},
        "commit": _commit(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def write_report(path: Path, result: dict[str, Any]) -> None:
    """Write a result to its file.

    A report of rows that stand there already keeps their environment, too. If rows have been added, the
    environments of the earlier ones stand beside it, unless they differ in commit or date alone.
    """
    before = json.loads(path.read_text()) if path.exists() else {}
    rows, earlier = before.get("rows", []), before.get("earlier_environments", [])
    if before and rows == result["rows"]:
        result["environment"] = before["environment"]
    elif rows and all(row in result["rows"] for row in rows):
        known = [_machine(environment) for environment in (*earlier, result["environment"])]
        if _machine(before["environment"]) not in known:
            earlier.append(before["environment"])
    else:
        earlier = []
    if earlier:
        result["earlier_environments"] = earlier
    write_atomically(path, (json.dumps(result, indent=1) + "\n").encode())


def _machine(environment: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in environment.items() if name not in ("commit", "date")}


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str:
    if shutil.which("git") is None:
        return "unknown"
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return done.stdout.strip() or "unknown"
