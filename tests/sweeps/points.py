"""Instant points, and a plan of them, for tests of what is around points."""

import os
import signal
from pathlib import Path
from typing import Any

from lottery_pipeline.sweeps.markers import DONE, FAILED, write_marker
from lottery_pipeline.sweeps.plan import Plan, Point
from lottery_pipeline.sweeps.point import Task


def make_instant_plan(folder: Path, *keys: str, shared: str = "") -> Plan:
    """Return a plan of points by key; those that begin with a letter of ``shared`` share one point of it."""
    parents = [_point(letter, "") for letter in shared]
    points = [_point(key, key[0] if key[0] in shared else "") for key in keys]
    return Plan("s", "test", "", tuple(points), tuple(parents), folder)


def _point(key: str, parent: str) -> Point:
    return Point(
        key=key,
        experiment="test",
        variant=f"s.{key}",
        pipelines=("snip",),
        axes={"pipelines": "snip", "seed": len(key)},
        parameters={},
        fingerprint=key.ljust(64, "0"),
        shared=f"s.{parent}" if parent else "",
        epochs={"search": 0.0, "train": 1.0},
    )


def compute(task: Task) -> dict[str, Any]:
    """Compute an instant point, which leaves its tries and its process.

    A key with ``bad`` fails always, one with ``once`` at its first try; ``dies`` ends its process.
    """
    key = task.point.key
    task.folder.mkdir(parents=True, exist_ok=True)
    with (task.folder.parent / "tries.txt").open("a") as file:
        file.write(f"{key} {task.attempts}\n")
    if "dies" in key:
        os.kill(os.getpid(), signal.SIGKILL)
    failed = "bad" in key or ("once" in key and task.attempts == 1)
    rows = [{"kind": "ticket", "method": "snip", "test_accuracy": 0.5}]
    marker = {
        "sweep": task.sweep,
        "key": key,
        "fingerprint": task.point.fingerprint,
        "state": FAILED if failed else DONE,
        "attempts": task.attempts,
        "error": "it is bad" if failed else "",
        "seconds": 1.0,
        "pid": os.getpid(),
        "variable": os.environ.get("SWEEP_TEST", ""),
        **({} if failed else {"rows": rows}),
    }
    write_marker(task.folder, marker)
    return marker


def read_tries(plan: Plan) -> list[str]:
    """Return every try of every point, in order."""
    path = plan.folder_of("test", "s").parent / "tries.txt"
    return path.read_text().splitlines() if path.exists() else []
