"""Locks on what a run writes, so that it has one writer at a time.

A lock is a file under ``flock``: the system frees it when the last process that has it open is gone, however
that process ended. Workers that were forked from a run share its open files, so a lock stays held while one
of them lives. The file also says who holds it, one JSON line for each process, for the message of a refusal.
"""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lottery_pipeline.reproducibility.lock_files import (
    Holder,
    NoLocksError,
    find_users,
    open_lock,
    opened,
    read_holders,
    try_lock,
    write_holders,
)
from lottery_pipeline.reproducibility.storage import faults_explained

__all__ = ["HeldError", "Holder", "Locks", "NoLocksError", "Wanted"]


@dataclass(frozen=True)
class Wanted:
    """A lock that a run asks for.

    Attributes:
        name: of the lock file.
        what: what is written, in words.
        digest: digest of the parameters that determine it, if several runs may use it at the same time; runs
            with the same digest may join once the first has written it.
    """

    name: str
    what: str
    digest: str = ""


class HeldError(Exception):
    """A lock is held by another run.

    Attributes:
        wanted: the lock.
        holders: the processes that hold it, in the order in which they took it.
        survivors: processes that have it open although all holders are dead: their workers.
        writing: whether it is held by a writer; otherwise by runs that work with something else.
    """

    def __init__(self, wanted: Wanted, holders: list[Holder], survivors: list[int], *, writing: bool) -> None:
        super().__init__(wanted.name)
        self.wanted, self.holders, self.survivors, self.writing = wanted, holders, survivors, writing


class Locks:
    """The locks that one run holds in one folder. Not for use by several threads at a time.

    Args:
        folder: where the lock files lie; made when the first lock is taken.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        self._owner = os.getpid()
        self._held: dict[str, int] = {}
        self._joined: set[str] = set()

    def take(self, wanted: Sequence[Wanted]) -> None:
        """Take all of these locks, or none.

        Raises:
            HeldError: another process holds one of them.
            NoLocksError: files cannot be locked here.
            StorageError: nothing can be written here.
        """
        before = set(self._held)
        with self._guard():
            try:
                for lock in wanted:
                    self._take(lock)
            except BaseException:  # Ctrl-C, too: all of them or none
                for name in set(self._held) - before:
                    self._release(name)
                raise

    def share(self, name: str) -> None:
        """Let other runs of the same digest join, now that it is written."""
        # Under the guard, because the system frees a lock for a moment when it changes its kind.
        with self._guard():
            try_lock(self._held[name], shared=True)

    def has(self, name: str) -> bool:
        """Whether this run holds a lock."""
        return name in self._held

    def has_joined(self, name: str) -> bool:
        """Whether this run shares a lock that another run took first: it must not write something new."""
        return name in self._joined

    def release(self) -> None:
        """Release all. In a forked worker nothing happens: the locks are its parent's."""
        if self._held and os.getpid() == self._owner:
            with self._guard():
                for name in list(self._held):
                    self._release(name)

    def _take(self, wanted: Wanted) -> None:
        descriptor = open_lock(self._folder / f"{wanted.name}.lock")
        try:
            alone = try_lock(descriptor, shared=False)
            holders = [] if alone else read_holders(descriptor)
            if not alone:
                writing = not try_lock(descriptor, shared=True)
                same = {wanted.digest} == {holder.digest for holder in holders} != {""}
                if writing or not same:
                    raise _describe(wanted, holders, descriptor, writing=writing)
                self._joined.add(wanted.name)
            own = Holder(self._owner, socket.gethostname(), self._started, wanted.digest)
            write_holders(descriptor, [*holders, own])
        except BaseException:  # Ctrl-C, too: an open descriptor would keep the lock
            os.close(descriptor)
            raise
        self._held[wanted.name] = descriptor

    def _release(self, name: str) -> None:
        """Close a lock; never unlock it, since that would also take it from the workers."""
        descriptor = self._held.pop(name)
        self._joined.discard(name)
        own = (self._owner, socket.gethostname())
        others = [holder for holder in read_holders(descriptor) if (holder.pid, holder.host) != own]
        write_holders(descriptor, others)
        os.close(descriptor)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Keep other processes from changing locks of this folder meanwhile; this takes milliseconds."""
        with faults_explained(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        with opened(self._folder / "guard.lock") as descriptor:
            try_lock(descriptor, shared=False, wait=True)
            yield


def _describe(wanted: Wanted, holders: list[Holder], descriptor: int, *, writing: bool) -> HeldError:
    living = [holder for holder in holders if not holder.is_gone]
    survivors = [] if living else find_users(descriptor)
    return HeldError(wanted, living or holders, survivors, writing=writing)
