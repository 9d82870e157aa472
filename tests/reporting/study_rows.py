"""Rows of the two studies of SuperTickets, made up."""

from itertools import product
from typing import Any

SIZES = {
    "kept": 5266,
    "prunable": 52664,
    "density": 0.1,
    "macs_theoretical": 157_000,
    "macs_executed": 551_000,
    "macs_dense": 1_354_000,
    "parameters": 31_000,
    "seconds": 30.0,
}


def make_arm(arm: str, seed: int, found: float, retrained: float | None, **changes: Any) -> dict[str, Any]:
    epochs = {"search_epochs": 13.0, "epochs": 13.0 if retrained is None else 26.0}
    values = {"found_accuracy": found, "retrained_accuracy": retrained}
    return {"arm": arm, "seed": seed, "metric": "accuracy", **values, **epochs, **SIZES, **changes}


def make_move(source: str, target: str, arm: str, seed: int, accuracy: float) -> dict[str, Any]:
    metric = {"segmentation": "mIoU", "keypoints": "PCK"}.get(target, "accuracy")
    row = {"source": source, "target": target, "arm": arm, "seed": seed, "metric": metric}
    return {**row, "accuracy": accuracy, "early_loss": 0.25, "epochs": 8.0, **SIZES}


ARM_ROWS = [
    row
    for seed, shift in enumerate((0.0, 0.01, 0.02))
    for row in (
        make_arm("dense", seed, 0.96 + shift, None),
        make_arm("search_then_prune", seed, 0.3 + shift, 0.95 + shift),
        make_arm("two_in_one", seed, 0.88 + shift, 0.97 + shift),
    )
]
MOVES = [
    row
    for seed, (source, target) in product(range(2), product(("segmentation", "keypoints"), repeat=2))
    for row in (
        [make_move(source, target, "direct", seed, 0.6)]
        if source == target
        else [
            make_move(source, target, "transferred", seed, 0.5 + 0.02 * seed),
            make_move(source, target, "reinitialised", seed, 0.45),
        ]
    )
]
