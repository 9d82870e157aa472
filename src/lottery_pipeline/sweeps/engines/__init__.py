"""Where the points of a sweep are computed: one file for each engine, which all run the same function."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from lottery_pipeline.sweeps.point import Marker, Task

Work = Callable[[Task], Marker]


class Engine(Protocol):
    """Computes points, several at once.

    Attributes:
        slots: how many points are worth being given to it at once; may change when it is given one.
        where: in words, for the log.
    """

    slots: int
    where: str

    def submit(self, task: Task) -> "Future[Marker]":
        """Have a point computed; the future raises if the process that did it has died."""
        ...

    def close(self, *, kill: bool = False) -> None:
        """End all processes.

        Args:
            kill: those that compute something, too.
        """
        ...


def share_cores(workers: int, cores: int) -> dict[str, Any]:
    """Return the variables that keep ``workers`` processes from fighting for the cores of a machine."""
    threads = str(max(1, cores // workers))
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
