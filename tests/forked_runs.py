"""Runs that start fast: a server has imported everything, and forks a process for each.

Each is a whole ``KedroSession`` in a process of its own, with its own locks and signals; only the seconds in
which Python imports libraries are saved. ``python -m tests.forked_runs`` is the server: a line of JSON asks
for a run, or for the end of one.
"""

import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from tests.kedro_project import ROOT, run, variables

REFUSED = 7


class Server:
    """The process that forks runs; they are its children, and end by themselves or by a signal."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forked_runs"],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, folder: Path, log: Path, *pipelines: str, **params: Any) -> int:
        """Start a run with its files under ``folder`` and its lines in ``log``; return its process."""
        return self._ask({"folder": str(folder), "log": str(log), "pipelines": pipelines, "params": params})

    def wait(self, pid: int) -> int:
        """Wait for a run; return 0, ``REFUSED``, another exit status, or the signal's number, negative."""
        return self._ask({"wait": pid})

    def has_ended(self, pid: int) -> bool:
        """Whether a run has ended; ``wait`` still tells how."""
        return bool(self._ask({"look": pid}))

    def close(self) -> None:
        """End the server."""
        self._process.communicate()

    def _ask(self, question: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(question)}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def serving() -> Iterator[Server]:
    """A server for the time of the block."""
    server = Server()
    try:
        yield server
    finally:
        server.close()


def serve() -> None:
    """Answer questions until there are no more; a child leaves by SystemExit, as a command does."""
    import lottery_pipeline

    for module in pkgutil.walk_packages(lottery_pipeline.__path__, "lottery_pipeline."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in ("pandas", "plotly.io", "sklearn.datasets"):  # imported late by those who use them
        importlib.import_module(name)
    for line in sys.stdin:
        question = json.loads(line)
        if "wait" in question:
            answer = os.waitstatus_to_exitcode(os.waitpid(question["wait"], 0)[1])
        elif "look" in question:
            answer = os.waitid(os.P_PID, question["look"], os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        elif not (answer := os.fork()):
            sys.exit(_run_alone(question))
        sys.stdout.write(f"{int(answer)}\n")
        sys.stdout.flush()


def _run_alone(question: dict[str, Any]) -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background commands without it
    log = os.open(question["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.update(variables(Path(question["folder"])))
    try:
        run(*question["pipelines"], **question["params"])
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except click.ClickException as error:
        sys.stderr.write(f"Error: {error.message}\n")
        return REFUSED
    return 0


if __name__ == "__main__":
    serve()
