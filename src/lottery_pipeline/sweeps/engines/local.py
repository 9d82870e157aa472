"""The processes of this machine. Each worker has a pool of its own, so that one that dies costs one point."""

import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from queue import SimpleQueue

from lottery_pipeline.sweeps.engines import Work
from lottery_pipeline.sweeps.point import Marker, Task, run_point

_WATCH_SECONDS = 1.0


class LocalEngine:
    """Worker processes that compute one point after another.

    Args:
        workers: how many.
        points_per_worker: after so many points a worker is replaced; what its libraries hold is freed then.
        environment: variables of each worker, in turn: ``CUDA_VISIBLE_DEVICES``, for example.
        work: computes a point; must be importable.
    """

    def __init__(
        self,
        workers: int,
        *,
        points_per_worker: int = 20,
        environment: Sequence[Mapping[str, str]] = ({},),
        work: Work = run_point,
    ) -> None:
        self.slots = workers
        self.where = f"{workers} process{'es' if workers > 1 else ''} of this machine"
        self._work = work
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="sweep")
        self._free: SimpleQueue[_Slot] = SimpleQueue()
        self._slots = [
            _Slot(points_per_worker, environment[number % len(environment)]) for number in range(workers)
        ]
        for slot in self._slots:
            self._free.put(slot)

    def submit(self, task: Task) -> "Future[Marker]":
        """Have a point computed; the future raises ``BrokenProcessPool`` if its process has died."""
        return self._threads.submit(self._compute, task)

    def close(self, *, kill: bool = False) -> None:
        """End all workers; with ``kill`` also those that compute something."""
        if kill:
            for slot in self._slots:
                slot.kill()
        self._threads.shutdown(cancel_futures=True)
        for slot in self._slots:
            slot.close()

    def _compute(self, task: Task) -> Marker:
        slot = self._free.get()
        try:
            return slot.compute(self._work, task)
        finally:
            self._free.put(slot)


class _Slot:
    """Room for one worker at a time."""

    def __init__(self, points_per_worker: int, environment: Mapping[str, str]) -> None:
        self._points, self._environment = points_per_worker, dict(environment)
        self._pool: ProcessPoolExecutor | None = None

    def compute(self, work: Work, task: Task) -> Marker:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                1,
                # A forked process would inherit torch's threads and locks, and could not use CUDA.
                mp_context=get_context("spawn"),
                max_tasks_per_child=self._points,
                initializer=_begin_worker,
                initargs=(self._environment, os.getpid()),
            )
        try:
            return self._pool.submit(work, task).result()
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            for process in list((pool._processes or {}).values()):
                with suppress(OSError, ValueError):
                    process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()


def _begin_worker(environment: Mapping[str, str], parent: int) -> None:
    os.environ.update(environment)
    # Ctrl-C reaches every process of a terminal; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), name="parent watch", daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent is gone: after kill -9, nobody would tell it."""
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)
