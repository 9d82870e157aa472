"""The rows of the study: one file for every trained network, written as soon as it is trained."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.cts.task import WORK, Task
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.sparsity.masks import Masks

STARTS = ("initial", "rewind")
LADDERS = {"initial": "lth", "rewind": "ltr"}  # the ladder that starts where a ticket starts


def restore(name: str, path: Path) -> None:
    """Put recorded rows back to where a run looks for them."""
    recorded = json.loads(path.read_text()) if path.exists() else {"rows": [], "dense": []}
    for run in recorded["dense"]:
        place = WORK / name / f"seed{run['seed']}" / "dense.json"
        if not place.exists():
            write_atomically(place, json.dumps(run).encode())
    for row in recorded["rows"]:
        method = "ladder" if row["method"] in LADDERS.values() else row["method"]
        place = WORK / name / f"seed{row['seed']}" / f"{method}_{row['start']}_{row['rung']:02d}.json"
        if not place.exists():
            write_atomically(place, json.dumps(row).encode())


def count_gaps(masks: Masks) -> dict[str, int]:
    """Count the layers that keep no weight, and the classes whose row of the classifier keeps none."""
    classifier = next(mask for mask in reversed(masks.values()) if mask.ndim == 2)
    return {
        "dead_layers": sum(not mask.any() for mask in masks.values()),
        "unconnected_classes": int((~classifier.any(dim=1)).sum()),
    }


def row_path(task: Task, method: str, start: str, rung: int) -> Path:
    """Return where the row of one trained network lies."""
    return task.folder / f"{method}_{start}_{rung:02d}.json"


def save_row(task: Task, method: str, start: str, rung: int, row: dict[str, Any]) -> None:
    """Leave a row: method, start, rung, density, accuracies and costs."""
    name = {"ladder": LADDERS[start]}.get(method, method)
    known = {
        "method": name,
        "start": start,
        "seed": task.seed,
        "rung": rung,
        "density": row["kept"] / task.dense.metrics["prunable"],
        "prunable": task.dense.metrics["prunable"],
        "dense_accuracy": task.dense.metrics["test_accuracy"],
        "threads": torch.get_num_threads(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    write_atomically(row_path(task, method, start, rung), json.dumps({**known, **row}).encode())
    logging.info("%s %s rung %d: %.2f %%", name, start, rung, 100 * row["test_accuracy"])
