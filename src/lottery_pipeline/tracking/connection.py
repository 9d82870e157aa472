"""The line to MLflow: a thread of its own sends in order, so that no server can hold up a run."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.tracking.passwords import hide

logger = logging.getLogger(__name__)

Work = Callable[[], Any]

# A server that accepts calls and answers none costs a run the sum of these three.
PATIENCE_SECONDS = 1.5  # of a run, in all
FAREWELL_SECONDS = 1.5  # at its end, while nothing is sent
PROBE_SECONDS = 1.0
RETRY_SECONDS = 60.0  # between two tries while MLflow does not answer
MOST_WAITING = 10_000


class Connection:
    """Sends work to MLflow in order, and keeps what could not be sent.

    The caller waits for its work as long as MLflow answers; once the run has lost ``PATIENCE_SECONDS`` to
    calls that failed or did not end, it waits no more. After a failure the connection asks whether MLflow
    answers at all. If it does, the work is set aside until the end of the run and the next is done; if not,
    all waits, and is tried again from time to time and at the end.

    Attributes:
        client: MLflow's, once there is one.
        lost: number of things that were refused or not sent.
    """

    def __init__(self, probe: Work = lambda: None) -> None:
        self.client: Any = None
        self.lost = 0
        self._probe = probe
        self._patience = PATIENCE_SECONDS
        self._turn = threading.Condition()
        self._waiting: deque[Work] = deque()
        self._aside: list[Work] = []
        self._settled = 0  # number of works that do not wait any more
        self._retry_at = 0.0
        self._last_chance = False
        self._warned = False
        self._thread: threading.Thread | None = None

    @contextmanager
    def without_trouble(self) -> Iterator[None]:
        """Turn a failure into a warning, the first of the run: it must not cost hours of training."""
        try:
            yield
        except Exception as error:
            self.report(first_line(error))

    def report(self, trouble: str) -> None:
        """Warn of the first trouble of a run; later ones are silent."""
        with self._turn:
            first, self._warned = not self._warned, True
        if first:
            logger.warning("MLflow tracking failed; the run continues without it: %s", hide(trouble))

    def do(self, work: Work) -> None:
        """Do work after all that was given before, and wait for it while MLflow answers."""
        with self._turn:
            if len(self._waiting) >= MOST_WAITING:
                self.lost += 1
                return
            self._waiting.append(work)
            last = self._settled + len(self._waiting)
            if self._thread is None:
                self._thread = threading.Thread(target=self._send, name="MLflow", daemon=True)
                self._thread.start()
            self._turn.notify_all()
            began = time.monotonic()
            self._turn.wait_for(lambda: self._settled >= last or self._paused(), max(self._patience, 0))
            unsent = self._settled < last
            if unsent:
                self._patience -= time.monotonic() - began
            silent = unsent and self._patience <= 0 and not self._paused()
        if silent:
            self.report(f"no answer within {write_number(PATIENCE_SECONDS)} s")

    def try_again(self) -> None:
        """Give what was set aside, and what waits for MLflow to answer, another chance."""
        with self._turn:
            self._waiting.extend(self._aside)
            self._aside, self._retry_at, self._last_chance = [], 0.0, True
            self._turn.notify_all()

    def finish(self) -> None:
        """Wait for what is left, as long as MLflow answers; what is then still waiting counts as lost."""
        with self._turn:
            while self._waiting and not self._paused():
                settled = self._settled

                def moves(settled: int = settled) -> bool:
                    return self._settled > settled or self._paused()

                if not self._turn.wait_for(moves, FAREWELL_SECONDS) and not self._answers_soon():
                    break
            self.lost += len(self._waiting)
            self._turn.notify_all()
            self._thread = None  # it ends by itself
        if self.lost and self.client is not None:
            logger.info("MLflow: %d things were not sent.", self.lost)

    def log_batch(self, run: str, kind: str, entities: Sequence[Any]) -> None:
        """Send ``params``, ``tags`` or ``metrics``; one that is refused does not cost the others."""
        try:
            self.client.log_batch(run, **{kind: entities})
        except Exception as error:
            if not self._answers():
                raise
            self.report(first_line(error))
        else:
            return
        by_key: dict[str, list[Any]] = {}
        for entity in entities:
            by_key.setdefault(entity.key, []).append(entity)
        for group in by_key.values():
            try:
                self.client.log_batch(run, **{kind: group})
            except Exception:  # reported above, of the batch; what is refused here has a second try
                if not self._answers():
                    raise
                self._set_aside(lambda group=group: self.client.log_batch(run, **{kind: group}))  # type: ignore[misc]

    def _send(self) -> None:
        """Do what waits, in a thread of its own, until the run has ended."""
        mine = threading.current_thread()
        while True:
            with self._turn:
                while not self._waiting or self._paused():
                    if self._thread is not mine:
                        return
                    self._turn.wait(RETRY_SECONDS if self._waiting else None)
                work = self._waiting[0]
            failed = False
            try:
                work()
            except Exception as error:
                failed = True
                self.report(first_line(error))
            answers = not failed or self._answers()
            with self._turn:
                if answers:
                    self._waiting.popleft()
                    self._settled += 1
                    if failed:
                        self._set_aside(work)
                else:
                    self._retry_at = time.monotonic() + RETRY_SECONDS
                self._turn.notify_all()

    def _set_aside(self, work: Work) -> None:
        with self._turn:
            if self._last_chance:
                self.lost += 1
            else:
                self._aside.append(work)

    def _paused(self) -> bool:
        return time.monotonic() < self._retry_at

    def _answers(self) -> bool:
        try:
            self._probe()
        except Exception:  # of any kind: it is no answer, and why one was asked for is reported
            return False
        return True

    def _answers_soon(self) -> bool:
        answers: list[bool] = []
        asking = threading.Thread(target=lambda: answers.append(self._answers()), daemon=True)
        asking.start()
        asking.join(PROBE_SECONDS)
        return answers == [True]


def first_line(error: BaseException) -> str:
    """Return kind and first line of an error, without passwords."""
    return hide(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")[:500]
