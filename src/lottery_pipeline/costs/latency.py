"""Latency: seconds of a forward pass, of several networks side by side.

Protocol: evaluation mode, no gradients, warm-up first; then the networks take turns. The first one rotates,
so that whatever slows the machine down for a while slows all of them. Each figure is a median with its
quartiles; each speed-up is a ratio of medians with a bootstrap interval. No other work should run meanwhile.
"""

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lottery_pipeline.costs.machine import name_processor, thread_number, wait_for
from lottery_pipeline.models.memory_format import stays_contiguous
from lottery_pipeline.reproducibility.seeds import derive_seed, make_generator

Times = NDArray[np.float64]

_RESAMPLES = 2000


@dataclass(frozen=True)
class Latency:
    """Seconds of one network at one batch size.

    Attributes:
        model: its name.
        batch_size: images at once.
        median_seconds: of a forward pass of the batch.
        lower_seconds: first quartile.
        upper_seconds: third quartile; the interquartile range lies between the two.
        speedup: median of the first network / median of this one.
        speedup_low: lower end of its 95 % percentile bootstrap interval.
        speedup_high: upper end.
    """

    model: str
    batch_size: int
    median_seconds: float
    lower_seconds: float
    upper_seconds: float
    speedup: float
    speedup_low: float
    speedup_high: float


@dataclass(frozen=True)
class LatencyReport:
    """What was measured, and on what.

    Attributes:
        rows: by batch size, then in the order of the networks.
        environment: device, its name, torch version, threads, memory format, warm-up and repeats.
    """

    rows: tuple[Latency, ...]
    environment: dict[str, Any]

    def record(self) -> dict[str, Any]:
        """Return plain values."""
        return {"rows": [asdict(row) for row in self.rows], "environment": dict(self.environment)}


def measure_latency(
    models: Mapping[str, nn.Module],
    image_shape: tuple[int, int, int],
    *,
    batch_sizes: Sequence[int] = (1, 128),
    repeats: int = 30,
    warmup: int = 10,
    threads: int | None = None,
    channels_last: bool = True,
    seed: int,
    clock: Callable[[], float] = time.perf_counter,
) -> LatencyReport:
    """Time forward passes of random 8-bit images.

    Args:
        models: by name, all on one device; pixels in [0, 1] -> logits. Copies are timed; the models are
            unchanged. The others are compared with the first.
        image_shape: channels, height, width.
        batch_sizes: images at once.
        repeats: timed passes of each.
        warmup: passes of each before.
        threads: of the CPU; None leaves their number unchanged. It is restored afterwards.
        channels_last: memory format of weights and images, as in training; not if one of the networks must
            stay contiguous.
        seed: of the images and of the bootstrap.
        clock: seconds.

    Raises:
        ValueError: there is no network, they are on several devices, or a number is too small.
    """
    if not models:
        raise ValueError("there is no network to time")
    for name, value, least in (("repeats", repeats, 2), ("warmup", warmup, 0), ("threads", threads, 1)):
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")
    if not batch_sizes or min(batch_sizes) < 1:
        raise ValueError(f"batch_sizes must be whole numbers of at least 1, not {list(batch_sizes)}")
    devices = {parameter.device for model in models.values() for parameter in model.parameters()}
    if len(devices) != 1:
        raise ValueError(f"all networks must be on one device, not on {sorted(map(str, devices))}")
    (device,) = devices
    dtype = next(next(iter(models.values())).parameters()).dtype
    channels_last = channels_last and not any(map(stays_contiguous, models.values()))
    memory = torch.channels_last if channels_last else torch.contiguous_format
    timed = {name: copy.deepcopy(model).eval().to(memory_format=memory) for name, model in models.items()}
    rows: list[Latency] = []
    with thread_number(threads), torch.inference_mode():
        for size in batch_sizes:
            generator = make_generator(seed, "latency", size)
            pixels = torch.randint(0, 256, (size, *image_shape), dtype=torch.uint8, generator=generator)
            images = (pixels / 255).to(device, dtype).to(memory_format=memory)
            times = _take_turns(list(timed.values()), images, repeats=repeats, warmup=warmup, clock=clock)
            rows += _summarise(list(timed), size, times, seed)
        used = torch.get_num_threads()
    environment = {
        "device": str(device),
        "processor": name_processor(device),
        "torch": torch.__version__,
        "threads": used,
        "channels_last": channels_last,
        "warmup": warmup,
        "repeats": repeats,
    }
    return LatencyReport(tuple(rows), environment)


def _take_turns(
    models: Sequence[nn.Module], images: Tensor, *, repeats: int, warmup: int, clock: Callable[[], float]
) -> Times:
    """Return the seconds of each pass, [models, repeats]."""
    for model in models:
        for _ in range(warmup):
            model(images)
    wait_for(images.device)
    times = np.empty((len(models), repeats))
    for turn in range(repeats):
        for place in range(len(models)):
            chosen = (turn + place) % len(models)
            started = clock()
            models[chosen](images)
            wait_for(images.device)
            times[chosen, turn] = clock() - started
    return times


def _summarise(names: Sequence[str], batch_size: int, times: Times, seed: int) -> Iterator[Latency]:
    # The same turns are drawn for all networks: what slowed a turn down slowed all of them.
    random = np.random.default_rng(derive_seed(seed, "bootstrap", batch_size))
    drawn = random.integers(times.shape[1], size=(_RESAMPLES, times.shape[1]))
    medians = np.median(times, axis=1)
    resampled = np.median(times[:, drawn], axis=2)
    lower, upper = np.percentile(times, [25, 75], axis=1)
    low, high = np.percentile(resampled[0] / resampled, [2.5, 97.5], axis=1)
    for index, name in enumerate(names):
        yield Latency(
            model=name,
            batch_size=batch_size,
            median_seconds=float(medians[index]),
            lower_seconds=float(lower[index]),
            upper_seconds=float(upper[index]),
            speedup=float(medians[0] / medians[index]),
            speedup_low=float(low[index]),
            speedup_high=float(high[index]),
        )
