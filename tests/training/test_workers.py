"""Trainings in processes of their own give what they give one after the other."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import lottery_pipeline.training.workers as workers
from lottery_pipeline.reproducibility.files import is_running
from lottery_pipeline.training.result import DivergenceError, OnLabelledRecord
from lottery_pipeline.training.workers import work_at_once


def add(number: int, item: int, on_record: OnLabelledRecord) -> tuple[int, int, int]:
    """Return the sum, the process and its threads."""
    on_record("sum", {"item": item})
    return number + item, os.getpid(), torch.get_num_threads()


def fail(item: int, on_record: OnLabelledRecord) -> int:
    """Fail as a training does."""
    if item == 1:
        raise DivergenceError("item 1 diverged")
    return item


def wait(folder: Path, item: int, on_record: OnLabelledRecord) -> None:
    """Leave the number of this process, and never end."""
    (folder / str(item)).write_text(str(os.getpid()))
    time.sleep(600)


def test_one_at_a_time_stays_in_this_process() -> None:
    assert list(work_at_once(partial(add, 1), [2, 3], concurrency=1)) == [
        (3, os.getpid(), torch.get_num_threads()),
        (4, os.getpid(), torch.get_num_threads()),
    ]


def test_two_at_once_come_in_their_order_with_their_records_and_the_threads_of_this_process() -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    found = list(
        work_at_once(
            partial(add, 1), [5, 3, 4], concurrency=2, on_record=lambda label, row: told.append((label, row))
        )
    )
    assert [result for result, _, _ in found] == [6, 4, 5]
    assert os.getpid() not in {process for _, process, _ in found}
    assert {threads for _, _, threads in found} == {torch.get_num_threads()}
    assert told == [("sum", {"item": item}) for item in (5, 3, 4)]


def test_what_a_task_raises_is_raised_here() -> None:
    with pytest.raises(DivergenceError, match="item 1 diverged"):
        list(work_at_once(fail, [0, 1], concurrency=2))


def test_fewer_run_at_once_where_memory_is_short(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(workers, "free_bytes", lambda: 3 * 2**30)
    assert workers._bound_by_memory(8, 2**28) == 2
    assert "2 instead of 8 trainings run at once" in caplog.text


@pytest.mark.slow
def test_the_processes_end_with_their_parent(tmp_path: Path) -> None:
    code = (
        "from functools import partial\nfrom pathlib import Path\n"
        "from tests.training.test_workers import wait\n"
        "from lottery_pipeline.training.workers import work_at_once\n"
        f"list(work_at_once(partial(wait, Path({str(tmp_path)!r})), [0, 1], concurrency=2))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    files = [tmp_path / "0", tmp_path / "1"]
    _wait_for(lambda: all(file.exists() and file.read_text() for file in files))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    processes = [int(file.read_text()) for file in files]
    _wait_for(lambda: not any(is_running(process) for process in processes))


def _wait_for(holds: Any) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)
