"""A budget of seconds is a promise: with a clock of the test's own."""

from pathlib import Path

import pytest
import torch

from benchmarks.published.budget import Budget, OutOfTimeError, TimedCheckpoints
from benchmarks.published.plan import Row
from benchmarks.published.work import work_through


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


ROWS = [Row("snip", 0, rung) for rung in range(1, 9)]
STEPS = 10  # of a row


def call(
    folder: Path, seconds: float, *, start_up: float = 20.0, first: float = 8.0
) -> tuple[list[Row], float]:
    """Make rows of ten steps of two seconds, each checkpointed, as a process of its own would."""
    clock = Clock()
    budget = Budget(seconds, began=0.0, now=clock)
    checkpoints = TimedCheckpoints(folder, budget)
    done = {row for row in ROWS if (folder / row.name).exists()}

    def measure(row: Row) -> None:
        fingerprint = f"{row.rung:064x}"
        stored = checkpoints.load(fingerprint)
        clock.time += first  # what is built anew in every process
        for step in range(stored[1]["step"] if stored else 0, STEPS):
            clock.time += 2.0
            if checkpoints.is_due():
                checkpoints.save(fingerprint, {"x": torch.zeros(1)}, {"step": step + 1})
        clock.time += 1.0
        (folder / row.name).touch()
        done.add(row)

    clock.time += 20.0  # the start of the process
    work_through(ROWS, done.__contains__, measure, budget)
    return sorted(done, key=lambda row: row.rung), clock.time


def test_a_call_ends_within_its_budget_and_the_next_resumes_inside_a_row(tmp_path: Path) -> None:
    done, spent = call(tmp_path, 105.0)
    assert done == ROWS[:2], "20 + 2 x 29 s, and a part of the third"
    assert 95 < spent <= 105
    (checkpoint,) = tmp_path.glob("*.safetensors")
    assert checkpoint.stem == f"{3:064x}"
    total = [spent]
    while len(done) < len(ROWS):
        done, spent = call(tmp_path, 105.0)
        assert spent <= 105
        total.append(spent)
    assert len(total) == 4, "8 x 29 s of rows, and 28 s of start in each call"
    assert sum(total) == 8 * 29 + 4 * 20 + 3 * 8, "no step is made twice"


def test_no_row_is_started_whose_first_stop_would_come_too_late(tmp_path: Path) -> None:
    done, spent = call(tmp_path, 90.0, first=26.0)
    assert done == ROWS[:1]
    assert spent == 67.0, "23 s are left, but the next row needs 28 s to its first checkpoint"
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_slow_step_is_expected_to_come_again(tmp_path: Path) -> None:
    clock = Clock()
    budget = Budget(100.0, began=0.0, now=clock)
    assert budget.start()
    for seconds, over in ((1.0, False), (30.0, False), (21.0, True)):
        clock.time += seconds
        assert budget.is_over() == over, "52 s have passed: 48 are left, and 5 + 1.5 x 30 may be needed"
    checkpoints = TimedCheckpoints(tmp_path, budget)
    assert checkpoints.is_due()
    with pytest.raises(OutOfTimeError, match="48 seconds are left"):
        checkpoints.save("0" * 64, {"x": torch.zeros(1)}, {})
    assert checkpoints.load("0" * 64) is not None
