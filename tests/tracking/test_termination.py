"""SIGTERM leaves by ``SystemExit``; a handler of somebody else stays."""

import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lottery_pipeline.tracking.termination import listen_for_termination


@pytest.fixture(autouse=True)
def default_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


def test_sigterm_exits_with_143_as_a_shell_reports_it_until_it_is_no_longer_listened_for() -> None:
    stop_listening = listen_for_termination()
    with pytest.raises(SystemExit) as left:
        signal.raise_signal(signal.SIGTERM)
    assert left.value.code == 143
    stop_listening()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_handler_of_somebody_else_stays() -> None:
    def handle(*_: Any) -> None: ...

    signal.signal(signal.SIGTERM, handle)
    stop_listening = listen_for_termination()
    assert signal.getsignal(signal.SIGTERM) is handle
    stop_listening()
    assert signal.getsignal(signal.SIGTERM) is handle


def test_outside_the_main_thread_nothing_changes() -> None:
    found: list[Callable[[], object]] = []
    thread = threading.Thread(target=lambda: found.append(listen_for_termination()))
    thread.start()
    thread.join()
    (stop_listening,) = found
    stop_listening()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
