"""Data-parallel training: processes that torchrun has started, each with a part of every batch.

Rank 0 runs the pipeline as ever, and it alone reads and writes files. The others wait. When rank 0 comes to a
training or a search, it sends them what it was given (``call``), and all make the same steps: they hold the
same weights, take different images of the batch, and add up their gradients. What rank 0 computes outside of
``call`` it computes alone.

So that all stay in step, nothing in a call may depend on a clock or a file but through ``agree``, which tells
all of them what rank 0 has found. In a process that is alone, every function here does nothing.
"""

import io
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar, cast

import torch
import torch.distributed as dist

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.images.stored import StoredImages
from lottery_pipeline.training.ranks import ParallelError, Ranks

logger = logging.getLogger(__name__)

# How long a process waits for the others: until all have started, for their part of a step, and for them to
# fail where it has failed. For the next call it waits as long as rank 0 works alone.
_START, _STEP, _FAILURE = timedelta(minutes=2), timedelta(minutes=10), timedelta(seconds=30)
_FOREVER = timedelta(days=365)

T = TypeVar("T")


class UnsentError(ValueError):
    """A network that cannot be sent to the other processes."""


@dataclass
class Team:
    """The processes that share a training.

    Attributes:
        rank: of this process.
        world: number of processes.
        replicas: how many processes have the same images of the batch at hand: 1, or all of them if there
            are fewer images than processes.
    """

    rank: int
    world: int
    replicas: int = 1

    def take(self, rows: slice, images: int) -> slice:
        """Return which rows of a batch are this process's: every ``world``-th, or all if they are too few.

        Contiguous parts would give one process all the images that are flipped.

        Args:
            rows: of the batch.
            images: how many of the rows there are; the last batch may end early.
        """
        self.replicas = 1 if images >= self.world else self.world
        return slice(rows.start + self.rank, rows.stop, self.world) if self.replicas == 1 else rows

    def count_own(self, first: int) -> int:
        """Return how many of the first so many images of the batch at hand are this process's."""
        return len(range(self.rank, first, self.world)) if self.replicas == 1 else first


class _Call(NamedTuple):
    """What rank 0 sends: a function with its arguments, where to find the code, and the threads to use."""

    content: bytes
    path: list[str]
    threads: int


class _Group:
    """The process group, and what this process knows of the calls so far."""

    def __init__(self, ranks: Ranks, store: dist.Store) -> None:
        self.ranks = ranks
        self.waiting = cast(dist.ProcessGroup, dist.new_group(backend="gloo", timeout=_FOREVER))
        self.team: Team | None = None  # during a call
        self.broken = ""
        self.images: ImageSplits | None = None  # those of the last call
        self._failures = dist.PrefixStore("failures", store)
        self._calls = 0

    def work(self, function: Callable[..., T], *arguments: Any, **own: Any) -> T:
        """Do what all processes do now; if it fails, it must fail on all of them."""
        self._calls += 1
        self.team = Team(self.ranks.rank, self.ranks.world)
        try:
            return function(*arguments, **own)
        except ParallelError as error:
            self.broken = str(error)
            raise
        except Exception as error:
            self._fail_together(error)
            raise
        except BaseException:
            self.broken = "the run was stopped"
            raise
        finally:
            self.team = None

    def send(self, message: _Call | None) -> None:
        """Send a message of rank 0 to the others."""
        with self.faults():
            dist.broadcast_object_list([message], src=0, group=self.waiting, device=torch.device("cpu"))

    def receive(self) -> _Call | None:
        """Wait for a message of rank 0."""
        messages: list[_Call | None] = [None]
        with self.faults():
            dist.broadcast_object_list(messages, src=0, group=self.waiting, device=torch.device("cpu"))
        return messages[0]

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Turn what a broken connection raises into one sentence."""
        try:
            yield
        except RuntimeError as error:
            self.broken = (
                f"Process {self.ranks.rank} of {self.ranks.world} has lost another one, which ended, or did "
                f"not answer for {_STEP.seconds // 60} minutes ({_first_line(error)}); once its own message "
                "is dealt with, the same command resumes."
            )
            raise ParallelError(self.broken) from error

    def _fail_together(self, error: Exception) -> None:
        """Wait until the call has failed everywhere; then another can follow."""
        keys = [f"{self._calls}/{rank}" for rank in range(self.ranks.world)]
        try:
            self._failures.set(keys[self.ranks.rank], "failed")
            self._failures.wait(keys, _FAILURE)
        except RuntimeError:
            self.broken = (
                f"Process {self.ranks.rank} of {self.ranks.world} has failed alone ({type(error).__name__}: "
                f"{_first_line(error)}), so they cannot train together any more; once that is dealt with, "
                "the same command resumes."
            )
            if self.ranks.rank:
                raise ParallelError(self.broken) from error


_groups: list[_Group] = []  # that of this process, if it has joined one


@contextmanager
def joined(ranks: Ranks, *, patience: timedelta = _START) -> Iterator[None]:
    """Join the other processes, and leave them at the end; rank 0 then sends them home.

    Args:
        ranks: which process this is.
        patience: how long it waits for the others.

    Raises:
        ParallelError: they cannot be reached.
    """
    is_cuda = torch.cuda.is_available()
    if is_cuda and ranks.local < torch.cuda.device_count():
        torch.cuda.set_device(ranks.local)
    backend = "cpu:gloo,cuda:nccl" if is_cuda else "gloo"
    try:
        store, rank, size = next(iter(dist.rendezvous("env://", timeout=patience)))
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_STEP)
        group = _Group(ranks, store)
    except (RuntimeError, ValueError) as error:
        place = ":".join(os.environ.get(name) or f"({name})" for name in ("MASTER_ADDR", "MASTER_PORT"))
        raise ParallelError(
            f"Process {ranks.rank} of {ranks.world} does not reach the others at {place} "
            f"({_first_line(error)}); see that all of them are started."
        ) from error
    _groups.append(group)
    try:
        yield
    finally:
        _groups.remove(group)
        if ranks.rank == 0 and not group.broken:
            group.send(None)
        if not (group.broken and is_cuda):  # a card would wait for the process that is lost
            dist.destroy_process_group()


def is_joined() -> bool:
    """Whether this process belongs to a group."""
    return bool(_groups)


def count_processes() -> int:
    """Return how many processes train together; 1 if this one is alone."""
    return _groups[0].ranks.world if _groups else 1


def is_first() -> bool:
    """Whether this process is the one that tells of its work: rank 0, or alone."""
    return not _groups or _groups[0].ranks.rank == 0


def find_team() -> Team | None:
    """Return the processes that share what runs now; None outside of a call, and for a process alone."""
    return _groups[0].team if _groups else None


def explain_faults() -> AbstractContextManager[None]:
    """Return a context in which a broken connection is told in one sentence, within a call."""
    return _groups[0].faults()


def call(function: Callable[..., T], images: ImageSplits, *arguments: Any, **own: Any) -> T:
    """Call ``function(images, *arguments)`` on all processes; a process that is alone simply calls it.

    Args:
        function: of a module. It must fail on all of them or on none.
        images: sent only if they are not those of the last call.
        *arguments: sent to the other processes; their tensors come to lie on the CPU there.
        **own: for rank 0 alone, for example checkpoints.

    Returns:
        What it returned here.

    Raises:
        ParallelError: another process has ended or does not answer.
        UnsentError: the arguments cannot be sent.
    """
    if not _groups or _groups[0].team is not None:
        return function(images, *arguments, **own)
    group = _groups[0]
    if isinstance(images.train.images, StoredImages) and not images.train.images.file.path.exists():
        logger.info("This process trains alone: the images lie in a file that others cannot open.")
        return function(images, *arguments, **own)
    if group.broken:
        raise ParallelError(group.broken)
    is_known = group.images is not None and group.images.fingerprint == images.fingerprint
    sent, buffer = None if is_known else images.to("cpu"), io.BytesIO()
    try:
        torch.save((function, sent, arguments), buffer)
    except Exception as error:  # whatever the network's own code raises
        raise UnsentError(
            f"this network cannot be sent to the others ({_first_line(error)}); use one process"
        ) from error
    group.send(_Call(buffer.getvalue(), sys.path, torch.get_num_threads()))
    group.images = images
    return group.work(function, images, *arguments, **own)


def follow() -> None:
    """Do what rank 0 calls for, until it sends this process home.

    Raises:
        ParallelError: another process has ended or does not answer, or this one alone has failed.
    """
    group = _groups[0]
    while (message := group.receive()) is not None:
        try:
            group.work(_do, group, message)
        except ParallelError:
            raise
        except Exception as error:  # rank 0 has failed likewise, and says so
            logger.debug("Process %d: %s", group.ranks.rank, error)


def _do(group: _Group, message: _Call) -> None:
    sys.path += [place for place in message.path if place not in sys.path]
    torch.set_num_threads(message.threads)
    # From rank 0 of the same run: what torch refuses in foreign files is wanted here.
    function, images, arguments = torch.load(
        io.BytesIO(message.content), map_location="cpu", weights_only=False
    )
    group.images = images or group.images
    function(group.images, *arguments)


def find_own_device(device: torch.device) -> torch.device:
    """Return the device of this process for what rank 0 computes on ``device``: its own card."""
    if find_team() is None or device.type != "cuda":
        return device
    return torch.device("cuda", torch.cuda.current_device())


def _first_line(error: BaseException) -> str:
    """Return the first sentence of an error, without the place in its source before it."""
    line = re.sub(r"^\[\S+\] ", "", str(error).strip().partition("\n")[0]).partition(". ")[0]
    return (" ".join(line.split()) or type(error).__name__)[:200]
