"""SIGTERM ends a process as Ctrl-C does, so that what it began is closed on the way out."""

import signal
import threading
from collections.abc import Callable
from types import FrameType


def listen_for_termination() -> Callable[[], object]:
    """Let SIGTERM raise ``SystemExit``, unless somebody else handles it.

    Outside the main thread, where Python takes no handler, nothing changes.

    Returns:
        What gives SIGTERM its old meaning again.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return lambda: None
    signal.signal(signal.SIGTERM, _leave)
    return lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
