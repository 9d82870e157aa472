"""Several rows at once on one device, each in a process of its own."""

import logging
import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

from benchmarks.published.plan import Row

# Makes a worker's own function that measures a row and returns whether its row is there.
MakeMeasure = Callable[[], Callable[[Row], bool]]
HasRow = Callable[[Row], bool]
FindNeed = Callable[[Row], Row | None]


def start_workers(count: int, make_measure: MakeMeasure) -> list[Connection]:
    """Start processes that wait for rows; return the ends to talk to them."""
    context, ends = multiprocessing.get_context("spawn"), []
    for number in range(count):
        ours, theirs = context.Pipe()
        context.Process(target=_serve, args=(number, theirs, make_measure), daemon=True).start()
        theirs.close()  # so that the end of the worker is seen here
        ends.append(ours)
    return ends


def share_rows(
    rows: list[Row],
    has_row: Callable[[Row], bool],
    find_need: Callable[[Row], Row | None],
    workers: list[Any],
) -> bool:
    """Give missing rows to workers, in their order, each as soon as what it needs is there.

    Args:
        rows: all of them.
        has_row: whether a row is there.
        find_need: the row that must be there before.
        workers: connections; a row is sent to them, and they answer whether it is there now. One that answers
            no has run out of time and gets no other.

    Returns:
        Whether all rows are there.

    Raises:
        EOFError: a worker has ended with an error.
    """
    idle, busy = list(workers), dict[Any, Row]()
    while True:
        for worker in list(idle):
            row = _choose(rows, has_row, find_need, busy)
            if row is not None:
                worker.send(row)
                idle.remove(worker)
                busy[worker] = row
        if not busy:
            break
        for worker in wait(list(busy)):
            del busy[worker]
            if worker.recv():
                idle.append(worker)
    for worker in workers:
        worker.send(None)
    return all(map(has_row, rows))


def _choose(
    rows: list[Row],
    has_row: Callable[[Row], bool],
    find_need: Callable[[Row], Row | None],
    busy: dict[Any, Row],
) -> Row | None:
    for row in rows:
        need = find_need(row)
        if row not in busy.values() and not has_row(row) and (need is None or has_row(need)):
            return row
    return None


def _serve(number: int, connection: Connection, make_measure: MakeMeasure) -> None:
    form = f"%(asctime)s [{number}] %(message)s"
    logging.basicConfig(level=logging.INFO, format=form, datefmt="%H:%M:%S")
    measure = make_measure()
    while (row := connection.recv()) is not None:
        connection.send(measure(row))
