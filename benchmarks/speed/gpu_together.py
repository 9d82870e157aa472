"""Several trainings at once on one device: in threads, each with a stream, or in processes."""

import queue
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from multiprocessing import get_context
from typing import Any, Protocol

import torch

from benchmarks.speed.gpu_runners import EPOCHS, Task
from benchmarks.speed.training_loop import make_model
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.training.loop import train

Times = tuple[float, float]
PATIENCE = 90.0  # seconds; a process that does not come by then ends the measurement


class Barrier(Protocol):
    """Where trainings wait for each other; of threads or of processes."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait until all are here."""
        ...


def own_stream(device: torch.device) -> AbstractContextManager[object]:
    """Return a context with a stream of its own, on a card."""
    return torch.cuda.stream(torch.cuda.Stream(device)) if device.type == "cuda" else nullcontext()


def train_timed(
    task: Task,
    images: ImageSplits,
    seed: int,
    barrier: Barrier,
    changes: dict[str, Any],
    turn: AbstractContextManager[object] | None = None,
) -> Times:
    """Train; return when the epochs after the first began and ended. All begin them together.

    Threads make their first epoch one by one, each in its ``turn``: while a step is captured, no other thread
    may wait for the device.
    """
    moments: list[float] = []
    first_epoch = ExitStack()

    def on_record(_row: dict[str, Any]) -> None:
        if not moments:
            first_epoch.close()
            barrier.wait(PATIENCE)
        moments.append(time.monotonic())

    model, masks = make_model(task.case, images)
    recipe = task.recipe(**changes)
    with own_stream(task.device), first_epoch:
        first_epoch.enter_context(turn or nullcontext())
        train(model, images, recipe, seed=seed, masks=masks, device=task.device, on_record=on_record)
    return moments[0], moments[-1]


def count_speed(task: Task, times: list[Times]) -> float:
    """Return the images/s of all trainings together."""
    images = len(times) * (EPOCHS - 1) * task.case.steps * 128
    return images / (max(end for _, end in times) - min(begin for begin, _ in times))


def run_threads(task: Task, count: int, changes: dict[str, Any]) -> float:
    """Train ``count`` networks at once in threads; return images/s."""
    images, barrier, turn = task.draw_images(), threading.Barrier(count), threading.Lock()
    found: queue.Queue[Times | Exception] = queue.Queue()

    def work(seed: int) -> None:
        try:
            found.put(train_timed(task, images, seed, barrier, changes, turn))
        except Exception as error:
            barrier.abort()
            found.put(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count_speed(task, _take(found.get, count))


def run_processes(task: Task, counts: tuple[int, ...], changes: dict[str, Any]) -> dict[int, float]:
    """Train 1, 2 or more networks at once in processes, which are started once; return images/s by count."""
    context = get_context("spawn")
    found: Any = context.Queue()
    barriers = {count: context.Barrier(count) for count in counts}
    everyone = context.Barrier(max(counts))
    processes = [
        context.Process(target=_serve, args=(task, seed, barriers, everyone, changes, found), daemon=True)
        for seed in range(max(counts))
    ]
    for process in processes:
        process.start()
    try:
        return {
            count: count_speed(task, _take(lambda: found.get(timeout=PATIENCE), count)) for count in counts
        }
    finally:
        for process in processes:
            process.join(1.0)
            process.terminate()
            process.join()


def _serve(
    task: Task,
    seed: int,
    barriers: dict[int, Barrier],
    everyone: Barrier,
    changes: dict[str, Any],
    found: Any,
) -> None:
    torch.set_num_threads(1)
    images = task.draw_images()
    try:
        for count, barrier in barriers.items():
            everyone.wait(PATIENCE)  # none still trains with the others of the last count
            if seed < count:
                found.put(train_timed(task, images, seed, barrier, changes))
    except Exception as error:  # whatever it is, the one that waits for the times must know
        found.put(error)


def _take(get: Callable[[], Times | Exception], count: int) -> list[Times]:
    times = []
    for _ in range(count):
        one = get()
        if isinstance(one, Exception):
            raise one
        times.append(one)
    return times
