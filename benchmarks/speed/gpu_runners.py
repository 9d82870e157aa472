"""What takes turns on a device: bare steps, our training, mask searches, SNIP; each tells its images/s."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from benchmarks.speed.gpu_peaks import Kernels, Traffic, time_call, wait
from benchmarks.speed.training_loop import BATCH, Case, make_images, make_model
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.methods import snip_scores
from lottery_pipeline.methods.cts.cts import ConcreteLearner
from lottery_pipeline.options import CtsOptions
from lottery_pipeline.search.gated import GatedNetwork
from lottery_pipeline.search.scoring import batch_statistics
from lottery_pipeline.search.search_loop import SearchLoop
from lottery_pipeline.training.device import fastest_convolutions
from lottery_pipeline.training.evaluation import autocast
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.recipe import Precision, Recipe

Runner = Callable[[], float]  # returns images/s
EPOCHS = 4  # of a training or search; the first warms up and is not counted
SNIP_IMAGES = 100
# How our own steps are made: changes to the recipe. Without a card nothing is captured.
VARIANTS: dict[str, dict[str, Any]] = {"ours": {"graph": False}, "captured": {"graph": "auto"}}


@dataclass(frozen=True)
class Task:
    """A network at a batch size in an arithmetic, on a device.

    Attributes:
        model: name of the network.
        batch: images of a step.
        steps: of an epoch.
        precision: of the recipe.
        float32: how a card computes convolutions of float32, ``ieee`` or ``tf32``.
        device: where.
        size: side of the images in pixels.
    """

    model: str
    batch: int
    steps: int
    precision: Precision
    float32: str
    device: torch.device
    size: int = 32

    @property
    def case(self) -> Case:
        """The same for the functions that draw images and build networks: their batches have 128 images."""
        return Case(self.model, 3, self.size, self.precision, -(-self.steps * self.batch // BATCH), 0)

    def draw_images(self) -> ImageSplits:
        """Draw the images of an epoch, or a few more."""
        return make_images(self.case)

    def recipe(self, **changes: Any) -> Recipe:
        """Return the recipe of a training with flips and crops."""
        values: dict[str, Any] = {
            "learning_rate": 0.01,
            "weight_decay": 1e-4,
            "flip": True,
            "crop_padding": 4,
        }
        values |= {"batch_size": self.batch, "precision": self.precision, "epochs": EPOCHS}
        return Recipe(**values | changes)


class BareStep:
    """A step on one random batch that lies on the device, and nothing else; perhaps compiled."""

    def __init__(self, task: Task, compiler: str | None = None) -> None:
        self.task = task
        model = make_model(task.case, task.draw_images())[0].to(
            task.device, memory_format=torch.channels_last
        )
        self._network: nn.Module = model
        if compiler is not None:
            self._network = torch.compile(model, backend=compiler)  # type: ignore[assignment]
        fused = task.device.type in ("cuda", "cpu")
        self._optimiser = torch.optim.SGD(
            model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, fused=fused
        )
        pixels = torch.rand((task.batch, 3, task.size, task.size), device=task.device)
        self._pixels = pixels.contiguous(memory_format=torch.channels_last)
        self._labels = torch.randint(0, 10, (task.batch,), device=task.device)
        with fastest_convolutions(task.device):
            began = time.perf_counter()
            for _ in range(3):
                self.step()
            wait(task.device)
            self.first_seconds = time.perf_counter() - began

    def step(self) -> None:
        """Make a step."""
        self._optimiser.zero_grad(set_to_none=True)
        with autocast(self.task.device, self.task.precision):
            logits = self._network(self._pixels)
        F.cross_entropy(logits.float(), self._labels).backward()
        self._optimiser.step()

    def run(self) -> float:
        """Make as many steps as an epoch has; return images/s."""
        with fastest_convolutions(self.task.device):
            wait(self.task.device)
            began = time.perf_counter()
            for _ in range(self.task.steps):
                self.step()
            wait(self.task.device)
        return self.task.steps * self.task.batch / (time.perf_counter() - began)

    def count_bytes(self) -> int:
        """Return what a step would move without a cache."""
        with Traffic() as traffic:
            self.step()
        return traffic.bytes

    def count_kernels(self) -> dict[str, float]:
        """Return what runs in a step."""
        kernels = Kernels(self.task.device)
        kernels.start()
        self.step()
        return kernels.stop()


def run_training(task: Task, images: ImageSplits, **changes: Any) -> float:
    """Train for a few epochs; return the median images/s of those after the first."""
    model, masks = make_model(task.case, images)
    recipe = task.recipe(**changes)
    history = train(model, images, recipe, seed=0, masks=masks, device=task.device).history
    return float(median(row["images_per_second"] for row in history[1:]))


def count_training_kernels(task: Task, images: ImageSplits, **changes: Any) -> dict[str, float]:
    """Return what runs in a step of our training, what an epoch needs included: counted in the last one."""
    kernels, found, rows = Kernels(task.device), dict[str, float](), 0

    def on_record(_row: dict[str, Any]) -> None:
        nonlocal rows
        rows += 1
        if rows == EPOCHS - 1:
            kernels.start()
        elif rows == EPOCHS:
            found.update(kernels.stop())

    model, masks = make_model(task.case, images)
    recipe = task.recipe(**changes)
    train(model, images, recipe, seed=0, masks=masks, device=task.device, on_record=on_record)
    steps = recipe.steps_per_epoch(len(images.train))
    return {name: value if name == "busy" else value / steps for name, value in found.items()}


def run_search(task: Task, images: ImageSplits, **changes: Any) -> float:
    """Search with CTS-KL for a few epochs; return the median images/s of those after the first."""
    model, _ = make_model(task.case, images)
    model.to(task.device, memory_format=torch.channels_last)
    network = GatedNetwork(model, precision=task.precision)
    recipe = task.recipe(optimiser="adam", weight_decay=0.0, flip=False, crop_padding=0, **changes)
    learner = ConcreteLearner(CtsOptions(density=0.02, objective="kl_reverse"), network, recipe, 0)
    rows: list[dict[str, Any]] = []
    loop = SearchLoop(
        learner,
        images,
        recipe,
        seed=0,
        device=task.device,
        normalise=network.normalise,
        fingerprint="0" * 64,
        checkpoints=None,
        on_record=lambda _label, row: rows.append(row),
        label="search",
    )
    with batch_statistics(model), fastest_convolutions(task.device):
        loop.to_the_end()
    return float(median(row["images_per_second"] for row in rows[1:]))


def run_snip(task: Task, images: ImageSplits) -> float:
    """Score the weights by SNIP with a hundred images; return images/s."""
    model, _ = make_model(task.case, images)
    model.to(task.device)
    some = images.train.to(task.device)
    pixels, labels = some.images[:SNIP_IMAGES].float() / 255, some.labels[:SNIP_IMAGES]
    return len(labels) / time_call(lambda: snip_scores(model, pixels, labels), task.device)
