"""The speed of steps on a card: bare, ours, captured, compiled; mask search, SNIP; several trainings at once.

    python -m benchmarks.speed.gpu [--budget SECONDS] [--output FILE]
    python -m benchmarks.speed.gpu --smallest --device cpu

In one process and in turns, on random images that lie on the device:

- bare: forward, backward and fused SGD step on one batch, channels last, and nothing else; `compiled` is the
  same under torch.compile.
- ours: ``lottery_pipeline.training.loop.train`` with masks, flips and crops, looking up batches and history,
  its steps eager; `captured` is the same with the steps in a CUDA graph.
- search: CTS with the reverse KL divergence, whose arithmetic alone is 4/3 of a training step; both ways.
- snip: 100 images.

Beside them stand what the device can do at best (a product of large matrices in the same arithmetic, a copy),
what a step asks of it, and how many kernels it launches. Shares of the peak count 6 operations for each
multiply-accumulate of an image, shares of the bandwidth what every operation of the bare step would read and
write without a cache. At last 1, 2, 4 and 8 trainings run at once, in threads with a stream each and in
processes. What the budget has no time for is left out and named.

The result is written to gpu.json in results/ beside this script, or where --output says; that of the smallest
setting to results/gpu_smallest.json.

Found: no card has been measured yet. In the smallest setting on a CPU, which only shows that all of it runs,
our step makes 1.17 times the images/s of the bare one (0.96 in a call before: it is noise).
Machine: 2 cores of an AMD EPYC (AVX-512), shared with other work, one thread, torch 2.14.1.
Runs: 2 turns.
"""

import argparse
import json
import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

BEGAN = time.monotonic()  # before torch is imported: start-up counts

import torch  # noqa: E402

from benchmarks.environment import describe_environment  # noqa: E402
from benchmarks.speed.gpu_peaks import float32_as, measure_copy, measure_products  # noqa: E402
from benchmarks.speed.gpu_runners import (  # noqa: E402
    VARIANTS,
    BareStep,
    Runner,
    Task,
    count_training_kernels,
    run_search,
    run_snip,
    run_training,
)
from benchmarks.speed.gpu_together import run_processes, run_threads  # noqa: E402
from benchmarks.speed.training_loop import make_model  # noqa: E402
from lottery_pipeline.costs.macs import count_macs, total_macs  # noqa: E402
from lottery_pipeline.reproducibility.files import write_atomically  # noqa: E402
from lottery_pipeline.training.arithmetic import set_arithmetic  # noqa: E402
from lottery_pipeline.training.device import pick_device  # noqa: E402

RESULTS = Path(__file__).parent / "results"
CAPTURES = "lottery_pipeline.training.captured"
START = "start and peaks"
EPOCH = 50_000  # images, as CIFAR-10 has
BF16, TF32, IEEE = ("bfloat16", "tf32"), ("float32", "tf32"), ("float32", "ieee")
RESERVE_SECONDS = 4.0
EXPECTED_SECONDS = {"several at once": 45.0, "compiled": 45.0}  # on a card; a guess, to be on the safe side
FIRST_NETWORK_SECONDS = 15.0


@dataclass(frozen=True)
class Setting:
    """What is measured, the most interesting first.

    Attributes:
        networks: model, batch, steps of an epoch, arithmetic.
        size: side of the images in pixels.
        counts: of trainings at once; those of the first network.
        compiler: backend of torch.compile, which is tried with the first network.
        product: side of the matrices.
        copy: bytes.
        rounds: turns.
    """

    networks: tuple[tuple[str, int, int, tuple[str, str]], ...]
    size: int
    counts: tuple[int, ...]
    compiler: str
    product: int
    copy: int
    rounds: int = 2


WHOLE = Setting(
    networks=(
        ("resnet20", 128, 60, BF16),
        ("resnet20", 512, 40, BF16),
        ("resnet20", 128, 60, TF32),
        ("resnet20", 128, 60, IEEE),
        ("resnet18", 128, 40, BF16),
        ("resnet20", 512, 40, TF32),
        ("resnet20", 512, 40, IEEE),
        ("resnet18", 128, 40, TF32),
        ("resnet18", 128, 40, IEEE),
    ),
    size=32,
    counts=(1, 2, 4, 8),
    compiler="inductor",
    product=8192,
    copy=2**30,
)
SMALLEST = Setting(
    networks=(("resnet20", 64, 2, ("float32", "ieee")),),
    size=8,
    counts=(1, 2),
    compiler="eager",
    product=128,
    copy=2**20,
)


class Messages(logging.Handler):
    """Counts the messages of a logger by their text."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Count a message."""
        text = record.getMessage()
        self.counts[text] = self.counts.get(text, 0) + 1


def measure_peaks(setting: Setting, device: torch.device) -> dict[str, float]:
    """Return operations per second of large products in each arithmetic, and bytes per second of a copy."""
    peaks = {}
    for precision, form in (BF16, TF32, IEEE):
        with float32_as(form):
            dtype = getattr(torch, precision)
            peaks[name_arithmetic(precision, form)] = measure_products(setting.product, dtype, device)
    return {**peaks, "copy": measure_copy(setting.copy, device)}


def name_arithmetic(precision: str, form: str) -> str:
    """Return the name of an arithmetic."""
    return precision if precision == "bfloat16" else f"{precision} {form}"


def measure_network(task: Task, setting: Setting, peaks: dict[str, float]) -> dict[str, Any]:
    """Let everything take turns on one network."""
    images = task.draw_images()
    bare = BareStep(task)
    runners: dict[str, Runner] = {"bare": bare.run}
    for name, changes in VARIANTS.items():
        runners[name] = partial(run_training, task, images, **changes)
        runners[f"search, {name}"] = partial(run_search, task, images, **changes)
    runners["snip"] = partial(run_snip, task, images)
    speeds: dict[str, list[float]] = {name: [] for name in runners}
    for number in range(setting.rounds):
        for name in list(runners)[:: -1 if number % 2 else 1]:
            speeds[name].append(runners[name]())
    medians = {name: median(values) for name, values in speeds.items()}
    arithmetic = name_arithmetic(task.precision, task.float32)
    operations = 6 * total_macs(count_macs(make_model(task.case, images)[0], (3, task.size, task.size)))
    moved = bare.count_bytes() / task.batch
    trained = {name: speed for name, speed in medians.items() if name in ("bare", *VARIANTS)}
    kernels = {"bare": bare.count_kernels()}
    kernels |= {name: count_training_kernels(task, images, **VARIANTS[name]) for name in VARIANTS}
    return {
        "model": task.model,
        "batch_size": task.batch,
        "arithmetic": arithmetic,
        "steps": task.steps,
        "images_per_second": medians,
        "seconds_per_epoch": {name: EPOCH / speed for name, speed in medians.items() if name != "snip"},
        "ours / bare": medians["ours"] / medians["bare"],
        "captured / ours": medians["captured"] / medians["ours"],
        "share_of_peak": {name: operations * speed / peaks[arithmetic] for name, speed in trained.items()},
        "share_of_bandwidth": {name: moved * speed / peaks["copy"] for name, speed in trained.items()},
        "a_step": kernels,
        "turns": speeds,
    }


def measure_compiled(task: Task, setting: Setting) -> dict[str, Any]:
    """Compare the bare step with the compiled one, in turns."""
    bare, compiled = BareStep(task), BareStep(task, setting.compiler)
    turns: dict[str, list[float]] = {"bare": [], "compiled": []}
    for _ in range(setting.rounds):
        turns["bare"].append(bare.run())
        turns["compiled"].append(compiled.run())
    return {
        "model": task.model,
        "batch_size": task.batch,
        "compiler": setting.compiler,
        "first_steps_seconds": compiled.first_seconds,
        "images_per_second": {name: median(values) for name, values in turns.items()},
        "a_step": compiled.count_kernels(),
    }


def measure_together(task: Task, setting: Setting) -> dict[str, Any]:
    """Train several networks at once, each way; return images/s of all together by their number."""
    return {
        name: {
            "threads": {count: run_threads(task, count, changes) for count in setting.counts},
            "processes": run_processes(task, setting.counts, changes),
        }
        for name, changes in VARIANTS.items()
    }


def list_parts(
    setting: Setting, device: torch.device, result: dict[str, Any]
) -> dict[str, Callable[[], None]]:
    """List what is to be measured by name, in order; each adds to the result."""
    tasks = [
        Task(model, batch, steps, precision, form, device, setting.size)  # type: ignore[arg-type]
        for model, batch, steps, (precision, form) in setting.networks
    ]

    def look_at(task: Task) -> None:
        with float32_as(task.float32):
            result["networks"].append(measure_network(task, setting, result["peaks"]))

    names = [f"{t.model} {t.batch} {name_arithmetic(t.precision, t.float32)}" for t in tasks]
    networks = {name: partial(look_at, task) for name, task in zip(names, tasks, strict=True)}
    several: dict[str, Callable[[], None]] = {
        "several at once": lambda: result.update(together=measure_together(tasks[0], setting)),
        "compiled": lambda: result.update(compiled=measure_compiled(tasks[0], setting)),
    }
    first = dict(list(networks.items())[:2])
    return {**first, **several, **networks}


def has_time(name: str, left: float, seconds: dict[str, float]) -> bool:
    """Whether a part fits into the seconds that are left, judged by those that took their time before it."""
    networks = [value for part, value in seconds.items() if part not in (*EXPECTED_SECONDS, START)]
    expected = EXPECTED_SECONDS.get(name, 2 * max(networks, default=FIRST_NETWORK_SECONDS / 2))
    return left > RESERVE_SECONDS + expected


def main() -> None:
    """Measure what the time allows, and write after every part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budget", type=float, default=175.0, help="seconds, start-up included")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--smallest", action="store_true", help="a network of 8x8 pixels, a few steps")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    logging.getLogger("lottery_pipeline").setLevel(logging.WARNING)
    captures = Messages()  # whether a step was captured, and if not, why
    logging.getLogger(CAPTURES).addHandler(captures)
    logging.getLogger(CAPTURES).setLevel(logging.DEBUG)
    set_arithmetic()
    device = pick_device(given.device)
    setting = SMALLEST if given.smallest else WHOLE
    output = given.output or RESULTS / ("gpu_smallest.json" if given.smallest else "gpu.json")
    result: dict[str, Any] = {
        "environment": describe_environment(),
        "device": str(device),
        "smallest": given.smallest,
        "peaks": measure_peaks(setting, device),
        "networks": [],
        "captures": captures.counts,
        "left_out": [],
        "failed": {},
        "seconds": {START: time.monotonic() - BEGAN},
    }
    for name, measure in list_parts(setting, device, result).items():
        began = time.monotonic()
        if not has_time(name, given.budget - (began - BEGAN), result["seconds"]):
            result["left_out"].append(name)
            continue
        try:
            measure()
        except Exception as error:  # one part that fails on a card must not cost the others
            traceback.print_exc()
            result["failed"][name] = f"{type(error).__name__}: {error}"
        result["seconds"][name] = time.monotonic() - began
        print(f"{name}: {result['seconds'][name]:.1f} s", flush=True)
        write_atomically(output, (json.dumps(result, indent=1) + "\n").encode())
    for row in result["networks"]:
        print(row["model"], row["batch_size"], row["arithmetic"], json.dumps(row["images_per_second"]))
    print(
        json.dumps(
            {name: result.get(name) for name in ("together", "compiled", "captures", "left_out", "failed")}
        )
    )
    raise SystemExit(1 if result["failed"] else 0)


if __name__ == "__main__":
    main()
