"""What a step of Concrete Ticket Search costs beside a training step of the same network and batch.

    python -m benchmarks.speed.mask_search [--rounds N] [--output FILE]

Training and searches take turns on the same synthetic images, an epoch each, in one process; the ratio is
taken within each round. A KL objective adds the teacher's forward pass, a third of a training step, so 4/3
is what the arithmetic alone would give; the rest is gates, noise, GradBalance and Adam. The result is
written to results/mask_search.json beside this script.

Found, in training steps of ResNet-20 at batch 128: with a KL objective 1.36 (32x32 pixels, float32), 1.35
(32x32, bfloat16) and 1.41 (16x16, float32); with the task loss 1.04, 1.02 and 1.08.
Machine: 2 cores of an AMD EPYC (AVX-512), two threads, torch 2.14.1.
Runs: 15 rounds, the default; the number is not in the record.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.environment import describe_environment
from benchmarks.speed.training_loop import Case, make_images, make_model
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.methods.cts.cts import ConcreteLearner
from lottery_pipeline.options import CtsOptions
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.search.gated import GatedNetwork
from lottery_pipeline.search.scoring import batch_statistics
from lottery_pipeline.search.search_loop import SearchLoop
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.recipe import Recipe

BATCH = 128
MOST = 1.6
CASES = (
    Case("resnet20", 3, 32, "float32", 6, 0),
    Case("resnet20", 3, 32, "bfloat16", 8, 0),
    Case("resnet20", 3, 16, "float32", 16, 0),
)
OBJECTIVES = ("kl_reverse", "task_loss")


def make_trainer(case: Case, images: ImageSplits) -> Callable[[], float]:
    """Return a function that trains for an epoch and returns images/s."""
    model, masks = make_model(case, images)
    recipe = Recipe(
        learning_rate=0.01, epochs=1, batch_size=BATCH, flip=True, crop_padding=4, precision=case.precision
    )

    def run() -> float:
        history = train(model, images, recipe, seed=0, masks=masks, device="cpu").history
        return float(history[-1]["images_per_second"])

    return run


def make_search(case: Case, images: ImageSplits, objective: str) -> Callable[[], float]:
    """Return a function that searches for an epoch and returns images/s."""
    model, _ = make_model(case, images)
    model.to(memory_format=torch.channels_last)
    network = GatedNetwork(model, precision=case.precision)
    recipe = Recipe(optimiser="adam", learning_rate=0.1, epochs=1, batch_size=BATCH, precision=case.precision)
    learner = ConcreteLearner(CtsOptions(density=0.02, objective=objective), network, recipe, 0)

    def run() -> float:
        rows: list[dict[str, Any]] = []
        loop = SearchLoop(
            learner,
            images,
            recipe,
            seed=0,
            device=torch.device("cpu"),
            normalise=network.normalise,
            fingerprint="0" * 64,
            checkpoints=None,
            on_record=lambda _label, row: rows.append(row),
            label=objective,
        )
        with batch_statistics(model):
            loop.to_the_end()
        return float(rows[-1]["images_per_second"])

    return run


def measure(case: Case, rounds: int) -> dict[str, Any]:
    """Let training and searches take turns; the first round warms up and is not counted."""
    images = make_images(case)
    runs = {"training": make_trainer(case, images)}
    runs |= {objective: make_search(case, images, objective) for objective in OBJECTIVES}
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name in list(runs)[:: 1 if number % 2 else -1]:
            speeds[name].append(runs[name]())
    counted = {name: np.array(values[1:]) for name, values in speeds.items()}
    row: dict[str, Any] = {
        "model": case.model,
        "image_size": case.size,
        "batch_size": BATCH,
        "precision": case.precision,
        "images_per_second": {name: round(float(np.median(v)), 1) for name, v in counted.items()},
        "step cost / training step": {},
    }
    for objective in OBJECTIVES:
        low, middle, high = np.quantile(counted["training"] / counted[objective], [0.25, 0.5, 0.75])
        row["step cost / training step"][objective] = {
            "median": round(float(middle), 3),
            "quartiles": [round(float(low), 3), round(float(high), 3)],
        }
    return row


def main() -> None:
    """Measure all cases and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "mask_search.json")
    options = parser.parse_args()
    result: dict[str, Any] = {"environment": describe_environment(), "most": MOST, "cases": []}
    for case in CASES:
        result["cases"].append(measure(case, options.rounds))
        print(json.dumps(result["cases"][-1]))
    write_atomically(options.output, (json.dumps(result, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
