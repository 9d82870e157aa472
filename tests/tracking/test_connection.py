"""The line to MLflow: what a silent server costs, and what becomes of work that it does not take."""

import logging
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from lottery_pipeline.tracking.connection import Connection, first_line


class Server:
    """Takes names; ``dead`` refuses all calls, ``refused`` some names, ``frozen`` answers nobody."""

    def __init__(self) -> None:
        self.dead = False
        self.refused: set[str] = set()
        self.thaw = threading.Event()
        self.thaw.set()
        self.took: list[str] = []
        self.connection = Connection(self.answer)

    def answer(self) -> None:
        self.thaw.wait(30)
        if self.dead:
            raise ConnectionError("dead")

    def take(self, name: str) -> None:
        self.answer()
        if name in self.refused:
            raise ValueError(f"{name} is refused")
        self.took.append(name)

    def send(self, *names: str) -> None:
        for name in names:
            self.connection.do(lambda name=name: self.take(name))  # type: ignore[misc]

    def finish(self) -> None:
        self.connection.try_again()
        self.connection.finish()


@pytest.fixture
def server(impatient: None) -> Iterator[Server]:
    server = Server()
    yield server
    server.thaw.set()
    server.finish()


def test_work_is_done_in_order_before_the_call_returns(server: Server) -> None:
    server.send("a", "b", "c")
    assert server.took == ["a", "b", "c"]


def test_work_that_is_refused_does_not_cost_the_next_and_is_tried_again_at_the_end(server: Server) -> None:
    server.refused = {"b"}
    server.send("a", "b", "c")
    assert server.took == ["a", "c"]
    server.refused = set()
    server.finish()
    assert (server.took, server.connection.lost) == (["a", "c", "b"], 0)


def test_work_that_is_refused_twice_is_lost_and_counted(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.refused = {"b"}
    server.connection.client = object()
    with caplog.at_level(logging.INFO, logger="lottery_pipeline"):
        server.send("a", "b")
        server.finish()
    assert server.connection.lost == 1
    assert caplog.messages == [
        "MLflow tracking failed; the run continues without it: ValueError: b is refused",
        "MLflow: 1 things were not sent.",
    ]


def test_what_a_dead_server_did_not_take_is_sent_in_order_when_it_is_back(server: Server) -> None:
    server.send("a")
    server.dead = True
    server.send("b", "c")
    server.dead = False
    server.send("d")
    assert server.took == ["a"]  # it is left alone for a while
    server.finish()
    assert (server.took, server.connection.lost) == (["a", "b", "c", "d"], 0)


def test_a_server_that_comes_back_is_found_without_waiting_for_the_end(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lottery_pipeline.tracking.connection.RETRY_SECONDS", 0.05)
    server.dead = True
    server.send("a")
    server.dead = False
    deadline = time.monotonic() + 3
    while not server.took and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.took == ["a"]


def test_a_frozen_server_costs_less_than_five_seconds_in_all_and_one_line(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.thaw.clear()
    began = time.monotonic()
    with caplog.at_level(logging.WARNING, logger="lottery_pipeline"):
        server.send(*map(str, range(500)))
        server.finish()
    assert time.monotonic() - began < 4.5
    assert caplog.messages == ["MLflow tracking failed; the run continues without it: no answer within 1.5 s"]
    assert server.connection.lost == 500


def test_a_slow_server_that_answers_is_waited_for_at_the_end(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("PATIENCE_SECONDS", 0.05), ("FAREWELL_SECONDS", 0.05)):
        monkeypatch.setattr(f"lottery_pipeline.tracking.connection.{name}", seconds)
    connection = Connection(lambda: None)
    done: list[int] = []
    for number in range(3):
        connection.do(lambda number=number: (time.sleep(0.2), done.append(number)))  # type: ignore[misc]
    connection.try_again()
    connection.finish()
    assert done == [0, 1, 2]


class Entity(SimpleNamespace):
    """Of a batch."""

    key: str


def test_of_a_batch_only_what_is_refused_is_lost(server: Server) -> None:
    def log_batch(run: str, params: list[Any]) -> None:
        if any(param.key in server.refused for param in params):
            raise ValueError("refused")
        server.took += [f"{run}/{param.key}" for param in params]

    server.refused = {"b"}
    server.connection.client = SimpleNamespace(log_batch=log_batch)
    entities = [Entity(key=key) for key in "abc"]
    server.connection.do(lambda: server.connection.log_batch("run", "params", entities))
    assert server.took == ["run/a", "run/c"]
    server.finish()
    assert (server.took, server.connection.lost) == (["run/a", "run/c"], 1)


def test_threads_wait_for_their_own_work_alone(server: Server) -> None:
    threads = [threading.Thread(target=server.send, args=[*f"{number}abc"]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert sorted(server.took) == sorted("0123" + "abc" * 4)


def test_the_thread_ends_with_the_run(server: Server) -> None:
    server.send("a")
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "MLflow"]
    server.finish()
    thread.join(3)
    assert not thread.is_alive()


def test_the_first_line_of_an_error_is_one_line() -> None:
    assert first_line(OSError("disk full\nsecond line")) == "OSError: disk full"
