"""Independent trainings at once, each in a process of its own.

A small network leaves most of a card idle, and most cores of a large machine; several of them share it well.
Every training is exactly the one that would run alone: its own process, the same threads, the same draws. So
the results are those of one after the other, except for the seconds.
"""

import logging
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import torch

from lottery_pipeline.images.memory import free_bytes
from lottery_pipeline.reproducibility.files import is_running
from lottery_pipeline.training.result import OnLabelledRecord

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

# What a process takes with its libraries and a small training, beside its copy of what it is given.
_BYTES_OF_A_PROCESS = 2**30
_WATCH_SECONDS = 1.0


def work_at_once(
    task: Callable[[Item, OnLabelledRecord], Result],
    items: Sequence[Item],
    *,
    concurrency: int,
    on_record: OnLabelledRecord | None = None,
) -> Iterator[Result]:
    """Yield ``task(item, on_record)`` for every item, in their order.

    Args:
        task: a module's function, or a ``partial`` of one; what it is given and returns can be pickled.
        items: independent of each other.
        concurrency: how many run at once; 1 stays in this process. Fewer run where memory is short.
        on_record: called with what the task records. Of a process the records come when the item is done, in
            the order of the items.

    Raises:
        Exception: whatever a task raises; those that still run are ended, and their checkpoints stay.
    """
    if concurrency == 1 or len(items) < 2:
        for item in items:
            yield task(item, on_record or _ignore)
        return
    from joblib import Parallel, delayed

    given = pickle.dumps(task)
    count = _bound_by_memory(min(concurrency, len(items)), len(given))
    run = partial(_run, given, _describe_logging(), torch.get_num_threads(), os.getpid())
    # One call waits for each process, so that what is given is held no more often than it is used.
    parallel = Parallel(
        n_jobs=count, backend="loky", return_as="generator", pre_dispatch="n_jobs", batch_size=1
    )
    for result, records in parallel(delayed(run)(item) for item in items):
        for label, row in records:
            (on_record or _ignore)(label, row)
        yield result


def _run(
    given: bytes, line: tuple[str, str | None] | None, threads: int, parent: int, item: Any
) -> tuple[Any, list[tuple[str, dict[str, Any]]]]:
    """Do one item in a worker process; return its result and what it recorded."""
    _leave_with(parent)
    _set_up_logging(line)
    torch.set_num_threads(threads)
    records: list[tuple[str, dict[str, Any]]] = []
    result = pickle.loads(given)(item, lambda label, row: records.append((label, row)))  # noqa: S301 (our own)
    return result, records


def _ignore(label: str, row: dict[str, Any]) -> None:
    """Record nothing."""


def _bound_by_memory(count: int, size: int) -> int:
    fitting = int(free_bytes() // (_BYTES_OF_A_PROCESS + 2 * size))
    if fitting < count:
        logger.warning("Memory is short: %d instead of %d trainings run at once.", max(fitting, 1), count)
    return max(min(count, fitting), 1)


def _describe_logging() -> tuple[str, str | None] | None:
    """Return the form of the lines of this process, if it logs any."""
    for handler in logging.getLogger().handlers:
        if handler.formatter is not None and handler.formatter._fmt:
            return handler.formatter._fmt, handler.formatter.datefmt
    return None


def _set_up_logging(line: tuple[str, str | None] | None) -> None:
    """Let a worker log as its parent does."""
    root = logging.getLogger()
    if line is not None and not root.handlers:
        logging.basicConfig(format=line[0], datefmt=line[1])
        logging.getLogger("lottery_pipeline").setLevel(logging.INFO)


def _leave_with(parent: int) -> None:
    """End this process when its parent has been killed; nobody would take what it finds."""

    def watch() -> None:
        while is_running(parent):
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    name = "end with the parent"
    if all(thread.name != name for thread in threading.enumerate()):
        threading.Thread(target=watch, name=name, daemon=True).start()
