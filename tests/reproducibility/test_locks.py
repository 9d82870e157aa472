"""Locks on what runs write: one writer at a time, free again however a run ends."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lottery_pipeline.reproducibility import lock_files as module
from lottery_pipeline.reproducibility.locks import HeldError, Locks, NoLocksError, Wanted
from lottery_pipeline.reproducibility.storage import StorageError

LTR, CTS = Wanted("ltr", "the results of ltr"), Wanted("cts", "the results of cts")
IMAGES = Wanted("images", "the prepared images", "a" * 64)
OTHER_IMAGES = Wanted("images", "the prepared images", "b" * 64)

HOLD = """
import os, sys, time
from pathlib import Path
from lottery_pipeline.reproducibility.locks import Locks, Wanted
locks = Locks(Path(sys.argv[1]))
locks.take([Wanted("ltr", "the results of ltr")])
worker = os.fork() if sys.argv[2] == "fork" else 0
if worker or sys.argv[2] == "alone":
    print(worker, flush=True)
time.sleep(60)
"""


@contextmanager
def holder(folder: Path, how: str = "alone") -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that holds the lock on ltr, and the worker it has forked (0: none)."""
    arguments = [sys.executable, "-c", HOLD, str(folder), how]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        try:
            yield process, worker
        finally:
            process.kill()
            if worker:
                os.kill(worker, signal.SIGKILL)


def take_once_free(folder: Path) -> Locks:
    """Take the lock on ltr as soon as the system has noticed the death of its holder."""
    for _ in range(100):
        locks = Locks(folder)
        try:
            locks.take([LTR])
        except HeldError:
            time.sleep(0.05)
        else:
            return locks
    raise AssertionError("the lock is still held")


def test_a_second_run_learns_who_the_first_is(tmp_path: Path) -> None:
    with holder(tmp_path) as (process, _), pytest.raises(HeldError) as caught:
        Locks(tmp_path).take([LTR])
    (first,) = caught.value.holders
    assert (first.pid, first.host) == (process.pid, os.uname().nodename)
    assert first.started[:2] == "20"
    assert (caught.value.writing, caught.value.survivors) == (True, [])


def test_locks_of_different_names_do_not_see_each_other(tmp_path: Path) -> None:
    first, second = Locks(tmp_path), Locks(tmp_path)
    first.take([LTR])
    second.take([CTS])
    assert first.has("ltr")
    assert second.has("cts")
    assert not first.has("cts")


def test_all_locks_are_taken_or_none(tmp_path: Path) -> None:
    first, second = Locks(tmp_path), Locks(tmp_path)
    first.take([LTR])
    with pytest.raises(HeldError):
        second.take([CTS, LTR])
    assert not second.has("cts")
    first.take([CTS])


def test_a_released_lock_is_free_and_names_nobody(tmp_path: Path) -> None:
    first = Locks(tmp_path)
    first.take([LTR])
    first.release()
    first.release()
    assert (tmp_path / "ltr.lock").read_text() == ""
    Locks(tmp_path).take([LTR])


def test_a_holder_that_is_killed_frees_its_lock(tmp_path: Path) -> None:
    with holder(tmp_path) as (process, _):
        process.send_signal(signal.SIGKILL)
        process.wait()
        locks = take_once_free(tmp_path)
    (line,) = (tmp_path / "ltr.lock").read_text().splitlines()
    assert json.loads(line)["pid"] == os.getpid()
    locks.release()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux tells who has a file open")
def test_an_orphaned_worker_keeps_the_lock_and_is_named(tmp_path: Path) -> None:
    with holder(tmp_path, "fork") as (process, worker):
        process.send_signal(signal.SIGKILL)
        process.wait()
        with pytest.raises(HeldError) as caught:
            Locks(tmp_path).take([LTR])
        assert caught.value.survivors == [worker]
        assert caught.value.holders[0].pid == process.pid
    take_once_free(tmp_path).release()


def test_a_shared_lock_is_joined_by_those_who_want_the_same(tmp_path: Path) -> None:
    first, second, third = Locks(tmp_path), Locks(tmp_path), Locks(tmp_path)
    first.take([IMAGES])
    with pytest.raises(HeldError) as caught:
        second.take([IMAGES])
    assert caught.value.writing
    first.share("images")
    second.take([IMAGES])
    assert (first.has_joined("images"), second.has_joined("images")) == (False, True)
    with pytest.raises(HeldError) as caught:
        third.take([OTHER_IMAGES])
    assert not caught.value.writing
    first.release()
    with pytest.raises(HeldError):
        third.take([OTHER_IMAGES])
    second.release()
    third.take([OTHER_IMAGES])


def test_who_wants_to_write_does_not_join(tmp_path: Path) -> None:
    first = Locks(tmp_path)
    first.take([IMAGES])
    first.share("images")
    with pytest.raises(HeldError):
        Locks(tmp_path).take([Wanted("images", "the prepared images")])


def test_half_a_line_names_nobody(tmp_path: Path) -> None:
    first = Locks(tmp_path)
    first.take([LTR])
    (tmp_path / "ltr.lock").write_text('{"pid": 1')
    with pytest.raises(HeldError) as caught:
        Locks(tmp_path).take([LTR])
    assert caught.value.holders == []


def test_a_file_system_without_locks_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(module.fcntl, "flock", fail)
    with pytest.raises(NoLocksError, match="No locks available"):
        Locks(tmp_path).take([LTR])


def test_a_system_without_flock_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fcntl", None)
    with pytest.raises(NoLocksError):
        Locks(tmp_path).take([LTR])


def test_a_lock_of_a_dead_process_is_free_even_if_another_has_its_number_now(tmp_path: Path) -> None:
    line = {"pid": os.getppid(), "host": os.uname().nodename, "started": "2026-01-01 12:00:00+00:00"}
    (tmp_path / "ltr.lock").write_text(json.dumps(line) + "\n")
    locks = Locks(tmp_path)
    locks.take([LTR])
    locks.release()
    assert (tmp_path / "ltr.lock").read_text() == ""


def test_one_folder_reached_by_two_paths_has_one_lock(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    first = Locks(tmp_path / "real")
    first.take([LTR])
    with pytest.raises(HeldError):
        Locks(tmp_path / "link").take([LTR])
    first.release()


def test_a_holder_on_another_machine_is_named_and_never_thought_dead(tmp_path: Path) -> None:
    first = Locks(tmp_path)
    first.take([LTR])
    line = {"pid": 999_999_999, "host": "other.machine", "started": "2026-01-01 12:00:00+00:00"}
    (tmp_path / "ltr.lock").write_text(json.dumps(line) + "\n")
    with pytest.raises(HeldError) as caught:
        Locks(tmp_path).take([LTR])
    assert [(holder.host, holder.is_gone) for holder in caught.value.holders] == [("other.machine", False)]
    assert caught.value.survivors == []
    first.release()


@pytest.mark.parametrize("what", ["a lock", "the folder"])
def test_where_a_lock_cannot_be_written_one_sentence_names_it(what: str, tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    if what == "a lock":
        (folder / "ltr.lock").mkdir(parents=True)
    else:
        folder.write_text("")
    with pytest.raises(StorageError, match=rf"{folder}.* cannot be written: (a|one of) ") as caught:
        Locks(folder).take([LTR])
    assert "\n" not in str(caught.value)
