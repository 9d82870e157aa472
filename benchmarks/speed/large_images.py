"""Images larger than memory: how much memory they take, and how fast they train beside images in memory.

    python -m benchmarks.speed.large_images [--images N] [--rounds N] [--folder DIR] [--output FILE]

An image folder of 200,000 JPEG files of 64x64 pixels is made in a temporary folder, which is removed in the
end: 2.5 GB of pixels. Each of the following is done with ``data.storage=disk`` by a process of its own, whose
largest resident memory is noted:

- prepare: the folder is decoded into the file of prepared images.
- read: an epoch of batches, flipped and cropped, without a network.
- train: 40 steps of ResNet-20 on all images, in batches of 16.
- kedro: all of it by ``kedro run --pipelines dense_pretraining``, the evaluation on 2,000 test images
  included.

Then ResNet-20 trains on a part of the images that fits in memory, once from memory and once from disk, in
alternating rounds in one process: for the ratio of the speeds, and to compare the weights bit for bit.

The result is written to results/large_images.json beside this script.

Found: 200,000 images (2.5 GB) are prepared with 0.82 GiB of resident memory, an epoch of batches is read with
0.54 GiB, and ResNet-20 trains on them with 0.88 GiB, of which the libraries take 0.67. From disk it is 1.10
times as fast as from memory (quartiles 1.01 and 1.43: other work on the machine took turns, too), with the
same weights. The whole of `kedro run` takes 1.89 GiB: evaluation works on 341 images of this size at once,
which alone takes 0.73 GiB, wherever they lie.
Machine: 2 cores of an AMD EPYC (AVX-512), shared with other work, two threads, torch 2.14.1.
Runs: 11 rounds, after one to warm up; each process once.
"""

import argparse
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.environment import describe_environment
from lottery_pipeline.images.preparation import prepare_images
from lottery_pipeline.images.request import ImageRequest
from lottery_pipeline.images.splits import ImageSet, ImageSplits
from lottery_pipeline.images.splits_file import load_splits, save_splits
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.training.batches import Batches
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import Training

ROOT = Path(__file__).parents[2]
SIDE, CLASSES, TEST_SHARE = 64, 10, 0.01
BATCH, STEPS = 16, 40
SUBSET = BATCH * STEPS
TARGETS = {"peak_gib": 1.0, "disk / memory": 0.9}


def make_folder(folder: Path, count: int) -> None:
    """Write coloured clouds as JPEG, a folder for each class of the training and test part."""
    for part in ("train", "test"):
        for label in range(CLASSES):
            (folder / part / f"class {label}").mkdir(parents=True)
    test = round(TEST_SHARE * count)

    def write(start: int) -> None:
        generator = np.random.default_rng(start)
        for number in range(start, min(start + 1000, count)):
            clouds = Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            part = "test" if number < test else "train"
            path = folder / part / f"class {number % CLASSES}" / f"{number:07}.jpg"
            content = io.BytesIO()
            clouds.resize((SIDE, SIDE)).save(content, format="JPEG", quality=80)
            path.write_bytes(content.getvalue())

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(0, count, 1000)))


def make_recipe(**changes: Any) -> Recipe:
    """Return the recipe of all trainings."""
    fields = {"learning_rate": 0.1, "epochs": 1, "batch_size": BATCH, "flip": True, "crop_padding": 4}
    return Recipe(**{**fields, **changes})


def train_network(images: ImageSplits, recipe: Recipe) -> Training:
    """Train a fresh ResNet-20."""
    # A process that builds no network goes without torchvision, which takes 160 MB.
    from lottery_pipeline.models.registry import build_model
    from lottery_pipeline.models.spec import ModelSpec

    spec = ModelSpec(
        name="resnet20",
        num_classes=CLASSES,
        channels=3,
        image_size=images.image_size,
        mean=images.mean,
        std=images.std,
    )
    return train(build_model(spec, seed=0), images, recipe, seed=0, device="cpu")


def prepare(folder: Path) -> dict[str, Any]:
    """Prepare the images of the folder as a run does."""
    path = folder / "images.safetensors"
    request = ImageRequest(
        source="image_folder", root=str(folder / "images"), validation_fraction=0, storage="disk"
    )
    splits = prepare_images(request, seed=0, path=path)
    save_splits(splits, path)
    return {"images": len(splits.train) + len(splits.test), "bytes": path.stat().st_size}


def read(folder: Path) -> dict[str, Any]:
    """Take every batch of an epoch."""
    images = load_splits(folder / "images.safetensors", "disk").train
    batches = Batches(images, make_recipe(), seed=0, device=torch.device("cpu"))
    batches.start_epoch(0)
    began = time.perf_counter()
    for index in range(len(images) // BATCH):
        batches.get(index)
    return {"images_per_second": round(len(images) / (time.perf_counter() - began))}


def train_steps(folder: Path) -> dict[str, Any]:
    """Make some steps on all images."""
    images = load_splits(folder / "images.safetensors", "disk")
    found = train_network(images, make_recipe(epochs=None, iterations=STEPS))
    return {"steps": found.steps}


JOBS: dict[str, Callable[[Path], dict[str, Any]]] = {"prepare": prepare, "read": read, "train": train_steps}


def measure_process(command: list[str], variables: dict[str, str]) -> dict[str, Any]:
    """Run a command; return its seconds, its largest resident memory, and what its last line says.

    The memory is the system's own mark of the highest, VmHWM, looked at five times a second.
    """
    began, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as output:
        with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **variables}, stdout=output) as process:
            while process.poll() is None:
                status = Path(f"/proc/{process.pid}/status").read_text()
                found = re.search(r"^VmHWM:\s*(\d+) kB", status, re.M)
                peak = int(found[1]) if found else peak  # the first may still be that of this process
                time.sleep(0.2)
        if process.returncode:
            raise RuntimeError(f"{command} failed")
        output.seek(0)
        last = output.read().splitlines()[-1:]
    said = json.loads(last[0]) if last and last[0].startswith("{") else {}
    return {"seconds": round(time.perf_counter() - began, 1), "peak_gib": round(peak / 2**20, 3), **said}


def run_kedro(folder: Path) -> dict[str, Any]:
    """Prepare, train and evaluate by one command, as a user does."""
    parameters = {
        "data.source": "image_folder",
        "data.root": str(folder / "images"),
        "data.storage": "disk",
        "data.validation_fraction": "0",
        "model.name": "resnet20",
        "pretraining.epochs": "null",
        "pretraining.iterations": str(STEPS),
        "pretraining.batch_size": str(BATCH),
        "pretraining.rewind_epoch": "0",
        "pretraining.warmup_epochs": "0",
    }
    text = ",".join(f"{name}={value}" for name, value in parameters.items())
    command = [sys.executable, "-m", "kedro", "run", "--pipelines", "dense_pretraining", "--params", text]
    variables = {"LOTTERY_DATA_ROOT": str(folder / "data"), "LOTTERY_TRACKING": "false"}
    return measure_process(command, variables)


def compare(folder: Path, rounds: int) -> dict[str, Any]:
    """Train on a part of the images from memory and from disk, in turns."""
    stored = load_splits(folder / "images.safetensors", "disk")
    rows = torch.randperm(len(stored.train), generator=torch.Generator().manual_seed(0))[:SUBSET]
    on_disk = replace(stored, train=stored.train.select(rows))
    chosen = ImageSet(stored.train.images[rows], stored.train.labels[rows])
    kinds = {"memory": replace(stored, train=chosen), "disk": on_disk}
    speeds: dict[str, list[float]] = {name: [] for name in kinds}
    for number in range(rounds + 1):  # the first warms up
        states = {}
        for name in list(kinds)[:: 1 if number % 2 else -1]:
            found = train_network(kinds[name], make_recipe())
            speeds[name].append(SUBSET / found.history[-1]["seconds"])
            states[name] = found.state
        for name, tensor in states["memory"].items():
            if not torch.equal(states["disk"][name], tensor):
                raise AssertionError(f"{name} differs")
    ratios = np.array(speeds["disk"][1:]) / np.array(speeds["memory"][1:])
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return {
        "images": SUBSET,
        "same_weights": True,
        "images_per_second": {
            name: round(statistics.median(values[1:]), 1) for name, values in speeds.items()
        },
        "disk / memory": {
            "median": round(float(middle), 3),
            "quartiles": [round(float(low), 3), round(float(high), 3)],
        },
        "rounds": {name: [round(value, 1) for value in values[1:]] for name, values in speeds.items()},
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=None, help="where there is room, 4 GB")
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "large_images.json"
    )
    parser.add_argument("--job", choices=JOBS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        print(json.dumps(JOBS[options.job](options.folder)))
        return
    result: dict[str, Any] = {"environment": describe_environment(), "targets": TARGETS}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        make_folder(folder / "images", options.images)
        for job in JOBS:
            command = [sys.executable, "-m", "benchmarks.speed.large_images", "--job", job, "--folder", name]
            result[job] = measure_process(command, {})
            print(job, json.dumps(result[job]), flush=True)
        result["compared"] = compare(folder, options.rounds)
        print(json.dumps(result["compared"]), flush=True)
        result["kedro"] = run_kedro(folder)
        print("kedro", json.dumps(result["kedro"]), flush=True)
        # Before the folder is removed, which takes minutes.
        write_atomically(options.output, (json.dumps(result, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
