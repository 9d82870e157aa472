"""Images per second of the training loop, beside the bare step and the classic loop.

    python -m benchmarks.speed.training_loop [--rounds N] [--only NAME] [--output FILE]

Three loops train the same network on synthetic images, in one process and in alternating rounds:

- bare: one random batch that lies on the device; forward, backward, fused SGD step, nothing else; channels
  last.
- ours: ``lottery_pipeline.training.loop.train`` with masks, flip, pad-and-crop and history rows. The clock
  runs from history row to history row, so shuffling, drawing and counting are inside; there are no validation
  images.
- classic: DataLoader without workers, PIL transforms for each image, masks multiplied into the weights in
  every forward pass, ``torch.optim.SGD`` as it comes, NCHW. For ResNet-20 in bfloat16 it is run twice: as it
  is (float32, which is all that the loop it stands for, that of open_lth, can do here) and under autocast.

The result is written to results/training_loop.json beside this script.

Found, as medians of the ratios within a round: ResNet-20 in float32 runs at 1.01 times the speed of the
bare step and 1.45 times that of the classic loop, in bfloat16 at 0.96 and 2.13 times (1.30 beside the
classic loop under autocast), LeNet-300-100 at 0.99 and 11.9 times.
Machine: 2 cores of an AMD EPYC (AVX-512), two threads, torch 2.14.1.
Runs: 15 rounds, after one to warm up.
"""

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.environment import describe_environment
from lottery_pipeline.images.splits import ImageSet, ImageSplits, assemble_splits
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.sparsity.masks import Masks, apply_masks_
from lottery_pipeline.training.evaluation import autocast
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.recipe import Precision, Recipe

BATCH = 128
PADDING = 4
DENSITY = 0.2
CPU = torch.device("cpu")
TARGETS = {"ours / bare": 0.95, "ours / classic": {"float32": 1.25, "bfloat16": 2.0}}


@dataclass(frozen=True)
class Case:
    """One row of the result."""

    model: str
    channels: int
    size: int
    precision: Precision
    steps: int  # of one round
    classic_steps: int


CASES = (
    Case("resnet20", 3, 32, "float32", 6, 4),
    Case("resnet20", 3, 32, "bfloat16", 8, 4),
    Case("lenet_300_100", 1, 28, "float32", 300, 20),
)


def make_images(case: Case) -> ImageSplits:
    """Draw uniform noise with random labels: one round is one epoch."""
    generator = torch.Generator().manual_seed(0)
    shape = (case.steps * BATCH, case.channels, case.size, case.size)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, shape[:1], generator=generator)
    none = ImageSet(images[:0], labels[:0])
    return assemble_splits(ImageSet(images, labels), none, none, [str(i) for i in range(10)])


def make_model(case: Case, images: ImageSplits) -> tuple[nn.Module, Masks]:
    """Build the network and masks of random places at DENSITY."""
    size = (case.size, case.size)
    spec = ModelSpec(
        name=case.model,
        num_classes=10,
        channels=case.channels,
        image_size=size,
        mean=images.mean,
        std=images.std,
    )
    model = build_model(spec, seed=0)
    generator = torch.Generator().manual_seed(1)
    masks = {
        name: torch.rand(weight.shape, generator=generator) < DENSITY
        for name, weight in prunable_parameters(model).items()
    }
    return model, masks


class BareLoop:
    """The step and nothing but the step."""

    def __init__(self, case: Case, images: ImageSplits) -> None:
        self.case = case
        self.model = make_model(case, images)[0].to(memory_format=torch.channels_last)
        parameters = self.model.parameters()
        self.optimiser = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=1e-4, fused=True)
        generator = torch.Generator().manual_seed(2)
        pixels = torch.rand((BATCH, case.channels, case.size, case.size), generator=generator)
        self.pixels = pixels.contiguous(memory_format=torch.channels_last)
        self.labels = torch.randint(0, 10, (BATCH,), generator=generator)

    def run(self) -> int:
        """Make the steps of one round; return the number of images."""
        for _ in range(self.case.steps):
            self.optimiser.zero_grad(set_to_none=True)
            with autocast(CPU, self.case.precision):
                logits = self.model(self.pixels)
            F.cross_entropy(logits.float(), self.labels).backward()
            self.optimiser.step()
        return self.case.steps * BATCH


class PictureSet(Dataset):
    """Images as the classic loop reads them: one PIL image at a time, transformed one at a time."""

    def __init__(self, images: ImageSplits) -> None:
        self.arrays = images.train.images.permute(0, 2, 3, 1).squeeze(-1).numpy()
        self.labels = images.train.labels.tolist()
        height, width = images.image_size
        self.transform = transforms.Compose(
            [
                transforms.RandomHorizontalFlip(),
                transforms.RandomCrop((height, width), padding=PADDING),
                transforms.ToTensor(),
                transforms.Normalize(images.mean, images.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.arrays[index])), self.labels[index]


class MaskedInForward(nn.Module):
    """Masks multiplied into the weights before every forward pass."""

    def __init__(self, network: nn.Module, masks: Masks) -> None:
        super().__init__()
        self.network = network
        self.masks = {name: mask.float() for name, mask in masks.items()}

    def forward(self, images: Tensor) -> Tensor:
        """Mask, then compute the logits."""
        for name, parameter in self.network.named_parameters():
            if name in self.masks:
                parameter.data *= self.masks[name]
        return self.network(images)


class ClassicLoop:
    """DataLoader, PIL transforms, masks in the forward pass, NCHW."""

    def __init__(self, case: Case, images: ImageSplits, precision: Precision) -> None:
        model, masks = make_model(case, images)
        masks = {name.removeprefix("network."): mask for name, mask in masks.items()}
        # The transforms normalise, so the normalisation layer of the built model is left out.
        self.model = MaskedInForward(model.network, masks)
        parameters = self.model.parameters()
        self.optimiser = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=1e-4)
        self.loader = DataLoader(PictureSet(images), batch_size=BATCH, shuffle=True)
        self.precision = precision
        self.steps = case.classic_steps

    def run(self) -> int:
        """Make the first steps of an epoch; return the number of images."""
        for pixels, labels in itertools.islice(self.loader, self.steps):
            self.optimiser.zero_grad()
            with autocast(CPU, self.precision):
                logits = self.model(pixels)
            F.cross_entropy(logits.float(), labels).backward()
            self.optimiser.step()
        return self.steps * BATCH


def measure(case: Case, rounds: int) -> dict[str, list[float]]:
    """Return images/s of every loop by round; a first round warms up and is not counted."""
    images = make_images(case)
    others: dict[str, Callable[[], int]] = {
        "bare": BareLoop(case, images).run,
        "classic": ClassicLoop(case, images, "float32").run,
    }
    if case.precision == "bfloat16":
        others["classic, autocast"] = ClassicLoop(case, images, "bfloat16").run
    speeds: dict[str, list[float]] = {name: [] for name in ("ours", *others)}

    def take_turns(_: dict[str, Any]) -> None:
        # Called when our loop has finished an epoch: note its time, let the others run, restart its clock.
        nonlocal began
        speeds["ours"].append(len(images.train) / (time.perf_counter() - began))
        # Every loop comes after every other one as often: what a loop leaves behind falls on all alike.
        names = list(others)[:: 1 if len(speeds["ours"]) % 2 else -1]
        for name in names:
            started = time.perf_counter()
            count = others[name]()
            speeds[name].append(count / (time.perf_counter() - started))
        began = time.perf_counter()

    model, masks = make_model(case, images)
    recipe = Recipe(
        learning_rate=0.01,
        weight_decay=1e-4,
        epochs=rounds + 1,
        batch_size=BATCH,
        flip=True,
        crop_padding=PADDING,
        precision=case.precision,
    )
    began = time.perf_counter()
    train(model, images, recipe, seed=0, masks=masks, device="cpu", on_record=take_turns)
    _check_pruned(model, masks)
    return {name: values[1:] for name, values in speeds.items()}


def _check_pruned(model: nn.Module, masks: Masks) -> None:
    """Make sure that what was timed has kept the masks."""
    weights = {name: p.detach().clone() for name, p in model.named_parameters() if name in masks}
    masked = {name: weight.clone() for name, weight in weights.items()}
    apply_masks_(masked, masks)
    if not all(torch.equal(weights[name], masked[name]) for name in masks):
        raise AssertionError("a pruned weight is not zero")


def summarise(case: Case, speeds: dict[str, list[float]]) -> dict[str, Any]:
    """Medians of the rounds, and the ratios within each round with their spread."""
    row: dict[str, Any] = {
        "model": case.model,
        "image_size": case.size,
        "batch_size": BATCH,
        "precision": case.precision,
        "steps_per_round": {"ours, bare": case.steps, "classic": case.classic_steps},
        "images_per_second": {name: round(statistics.median(values), 1) for name, values in speeds.items()},
        "ratios": {},
        "rounds": {name: [round(value, 1) for value in values] for name, values in speeds.items()},
    }
    for name, values in speeds.items():
        if name != "ours":
            ratios = np.array(speeds["ours"]) / np.array(values)
            low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
            row["ratios"][f"ours / {name}"] = {
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
    parser.add_argument("--only", default="", help="part of a case's name, e.g. lenet")
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "training_loop.json"
    )
    options = parser.parse_args()
    result: dict[str, Any] = {"environment": describe_environment(), "targets": TARGETS, "cases": []}
    for case in CASES:
        if options.only in f"{case.model} {case.precision}":
            row = summarise(case, measure(case, options.rounds))
            result["cases"].append(row)
            print(case.model, case.precision, json.dumps(row["images_per_second"]), json.dumps(row["ratios"]))
    write_atomically(options.output, (json.dumps(result, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
