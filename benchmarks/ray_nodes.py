"""Ray nodes on this machine, as ``ray start`` in several terminals makes them: the stand-in for a cluster."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

MARK = "RAY_NODES_OF"  # variable by which the processes of a node are found
TRIES = 4  # Ray gives a node 30 s to start, which a busy machine may not have


@dataclass(frozen=True)
class RayNode:
    """The processes of one node.

    Attributes:
        mark: value of their variable ``RAY_NODES_OF``.
    """

    mark: str

    def kill_raylet(self) -> None:
        """Kill the process by which the node belongs to its cluster, as a crash of its machine would."""
        for process in list_processes():
            if f"{MARK}={self.mark}" in read(process, "environ") and "raylet/raylet" in read(
                process, "cmdline"
            ):
                os.kill(process, signal.SIGKILL)


@contextmanager
def start_nodes(
    count: int, *, port: int, environment: Mapping[str, str] | None = None
) -> Iterator[list[RayNode]]:
    """Start a head and further nodes of one CPU each on 127.0.0.1; all are gone afterwards.

    Args:
        count: of nodes.
        port: of the head.
        environment: variables of the nodes.

    Raises:
        RuntimeError: one does not start.
    """
    # Sockets lie in the folder, so its name must be short.
    with TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        nodes = [RayNode(uuid.uuid4().hex) for _ in range(count)]
        head = ["--head", f"--port={port}", f"--temp-dir={folder}", "--include-dashboard=false"]
        places = [head] + [[f"--address=127.0.0.1:{port}"]] * (count - 1)
        try:
            for left in reversed(range(TRIES)):
                try:
                    for place, node in zip(places, nodes, strict=True):
                        _start(place, {**os.environ, **(environment or {}), MARK: node.mark})
                    break
                except RuntimeError:
                    _kill_users(folder)
                    if not left:
                        raise
            yield nodes
        finally:
            _kill_users(folder)


def _start(place: list[str], environment: Mapping[str, str]) -> None:
    command = [str(Path(sys.executable).with_name("ray")), "start", *place]
    command += ["--num-cpus=1", "--node-ip-address=127.0.0.1", f"--object-store-memory={10**8}"]
    ended = subprocess.run(
        command,
        env={**environment, "RAY_USAGE_STATS_ENABLED": "0"},
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if ended.returncode:
        raise RuntimeError(f"ray start: {ended.stdout}{ended.stderr}")


def _kill_users(folder: str) -> None:
    """Kill all processes that have files of a cluster open."""
    while users := [process for process in list_processes() if _has_open(process, folder)]:
        for process in users:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.2)


def _has_open(process: int, folder: str) -> bool:
    try:
        files = [str(path.readlink()) for path in Path(f"/proc/{process}/fd").iterdir()]
    except OSError:
        return False
    return any(file.startswith(folder) for file in files)


def list_processes() -> list[int]:
    """Return all processes of this machine."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def read(process: int, name: str) -> str:
    """Read a file that Linux has for a process; empty if the process is gone."""
    try:
        return Path(f"/proc/{process}/{name}").read_text(errors="replace")
    except OSError:
        return ""
