"""Rows are given to workers in their order, each once what it needs is there."""

import threading
from collections.abc import Callable, Mapping
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest

from benchmarks.published.plan import Row
from benchmarks.published.workers import share_rows

DENSE, SEARCHED, SHUFFLED, OTHER = (Row(m, 0, 22) for m in ("dense", "cts_kl", "shuffled", "dense_1"))
NEEDS = {DENSE: None, SEARCHED: DENSE, SHUFFLED: SEARCHED, OTHER: None}


def start(
    done: list[Row],
    stops_at: Row | None,
    sent: list[list[Row]],
    on_row: Mapping[Row, Callable[[], object]] | None = None,
) -> Connection:
    """Start a worker in a thread; it has no time left for the row ``stops_at``."""
    ours, theirs = Pipe()
    rows: list[Row] = []
    sent.append(rows)

    def serve() -> None:
        while (row := theirs.recv()) is not None:
            rows.append(row)
            (on_row or {}).get(row, object)()
            if row != stops_at:
                done.append(row)
            theirs.send(row in done)

    threading.Thread(target=serve, daemon=True).start()
    return ours


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_row_is_measured_once_and_behind_what_it_needs(count: int) -> None:
    done: list[Row] = []
    workers = [start(done, None, []) for _ in range(count)]
    assert share_rows(list(NEEDS), done.__contains__, NEEDS.__getitem__, workers)
    assert sorted(done, key=list(NEEDS).index) == list(NEEDS)
    assert done.index(DENSE) < done.index(SEARCHED) < done.index(SHUFFLED)


def test_a_row_that_needs_nothing_does_not_wait_for_one_that_is_being_made() -> None:
    done: list[Row] = []
    other_began = threading.Event()
    workers = [start(done, None, [], {DENSE: other_began.wait, OTHER: other_began.set}) for _ in range(2)]
    assert share_rows(list(NEEDS), done.__contains__, NEEDS.__getitem__, workers)
    assert other_began.is_set()


def test_a_worker_without_time_gets_no_other_row() -> None:
    done: list[Row] = []
    sent: list[list[Row]] = []
    workers = [start(done, SEARCHED, sent)]
    assert not share_rows(list(NEEDS), done.__contains__, NEEDS.__getitem__, workers)
    assert sent == [[DENSE, SEARCHED]]
