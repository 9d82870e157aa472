"""What an adversary and AugMix cost: an epoch with each, beside the plain recipe, in turns.

    python -m benchmarks.speed.recipes [--rounds N] [--output FILE]

ResNet-20 in float32 on random images, one thread, batches of 64 with flip and pad-and-crop. There are no
validation images, so the accuracy under attack that a history has after every epoch is not in the figures: it
costs ten gradients for each of at most 1,000 images.

The result is written to results/recipes.json beside this script.

Found, in seconds of the processor: FGSM-RS takes 1.75 times a plain epoch (95 % interval 1.71 to 1.80), PGD
with 7 steps 5.97 times (5.89 to 6.05), AugMix 1.05 times (1.02 to 1.08).
Machine: 2 cores of an AMD EPYC (AVX-512), shared with other work, one thread, torch 2.14.1.
Runs: 7 turns of each, after one to warm up.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.environment import describe_environment, write_report
from lottery_pipeline.images.splits import ImageSet, ImageSplits, assemble_splits
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.statistics.paired import bootstrap_interval
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.recipe import Recipe

STEPS, BATCH, SIZE = 10, 64, 32
PLAIN = "plain"
RECIPES: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "fgsm_rs": {"adversary": {"kind": "fgsm_rs"}},
    "pgd, 7 steps": {"adversary": {"kind": "pgd"}},
    "augmix": {"augmix": True},
}


def make_images() -> ImageSplits:
    """Draw random images with random labels."""
    generator = torch.Generator().manual_seed(0)
    shape = (STEPS * BATCH, 3, SIZE, SIZE)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, shape[:1], generator=generator)
    none = ImageSet(images[:0], labels[:0])
    return assemble_splits(ImageSet(images, labels), none, none, [str(number) for number in range(10)])


def train_once(images: ImageSplits, changes: dict[str, Any]) -> float:
    """Train for an epoch; return the seconds of the processor."""
    spec = ModelSpec(
        name="resnet20",
        num_classes=10,
        channels=3,
        image_size=images.image_size,
        mean=images.mean,
        std=images.std,
    )
    recipe = Recipe(learning_rate=0.01, epochs=1, batch_size=BATCH, flip=True, crop_padding=4).replace(
        **changes
    )
    model = build_model(spec, seed=0)
    began = time.process_time()
    train(model, images, recipe, seed=0, device="cpu")
    return time.process_time() - began


def main() -> None:
    """Measure in turns, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "recipes.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    images = make_images()
    seconds: dict[str, list[float]] = {name: [] for name in RECIPES}
    for number in range(given.rounds + 1):  # the first warms up
        for name in list(RECIPES)[:: 1 if number % 2 else -1]:
            found = train_once(images, RECIPES[name])
            if number:
                seconds[name].append(found)
    rows = []
    for name, values in seconds.items():
        ratios = np.array(values) / np.array(seconds[PLAIN])
        interval = bootstrap_interval(ratios, resamples=2000, seed=0, confidence=0.95)
        rows.append({"recipe": name, "ratio": interval.mean, "low": interval.low, "high": interval.high})
        print(rows[-1])
    result = {"steps": STEPS, "batch_size": BATCH, "cpu_seconds": seconds, "rows": rows}
    write_report(given.output, {**result, "environment": describe_environment()})


if __name__ == "__main__":
    main()
