"""What a Ray cluster must be able to do before a sweep starts on it."""

import socket
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from lottery_pipeline import __version__
from lottery_pipeline.sweeps.request import SweepError, split_address

_ANSWER_SECONDS = 5.0  # for a head
_LOOK_SECONDS = 90.0  # for all nodes: each starts a process
_LONGEST = 400  # characters of an error
# Ray speaks HTTP/2, whose servers answer this with a frame of their settings (RFC 9113, 3.4 and 6.5).
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_SETTINGS = 4


def check_head(address: str) -> None:
    """Make sure that a head answers; Ray itself would try for two minutes.

    Raises:
        SweepError: it does not, or something else than Ray does.
    """
    start = "`ray start --head` starts one and prints its address"
    try:
        with socket.create_connection(split_address(address), timeout=_ANSWER_SECONDS) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.sendall(_GREETING)
            answer = connection.recv(4, socket.MSG_WAITALL)
    except OSError as error:
        raise SweepError(f"No head of a Ray cluster answers at {address} ({error}); {start}.") from error
    if answer[3:] != bytes((_SETTINGS,)):
        raise SweepError(f"What answers at {address} is not the head of a Ray cluster; {start}.")


def check_nodes(ray: Any, project: Path, data_root: Path) -> None:
    """Let every node look for the folders.

    Args:
        ray: the package, connected to the cluster.
        project: the project's folder.
        data_root: folder of all results.

    Raises:
        SweepError: one does not see them, or cannot run this package.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    folder = data_root / "work"
    folder.mkdir(parents=True, exist_ok=True)
    nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in list_nodes(ray)}
    look = ray.remote(num_cpus=0, max_retries=0)(find_fault)
    with NamedTemporaryFile("w", dir=folder, prefix="nodes-", suffix=".txt") as probe:
        probe.write(probe.name)
        probe.flush()
        looks = {}
        for node in nodes:
            there = look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))
            looks[node] = there.remote(project, Path(probe.name), __version__)
        ray.wait(list(looks.values()), num_returns=len(looks), timeout=_LOOK_SECONDS)
        for node, reference in looks.items():
            try:
                fault = ray.get(reference, timeout=0)
            except ray.exceptions.GetTimeoutError:
                fault = f"it has not answered within {_LOOK_SECONDS:.0f} s"
            except Exception as error:
                fault = word(error)
            if fault:
                raise SweepError(
                    f"Ray node {nodes[node]} cannot compute points: {fault}. All nodes need the same "
                    "packages, and project and data at the same place of a file system that they share."
                )


def find_fault(project: Path, probe: Path, version: str) -> str:
    """Return why this node cannot compute points; empty if it can.

    Args:
        project: folder that must be there.
        probe: file that holds its own name.
        version: of this package.
    """
    if version != __version__:
        return f"it has lottery_pipeline {__version__} instead of {version}"
    if not (project / "pyproject.toml").is_file():
        return f"the project is not at {project}"
    try:
        found = probe.read_text()
    except OSError:
        found = ""
    return "" if found == str(probe) else f"its {probe.parent} is not the folder that the sweep started with"


def list_nodes(ray: Any) -> list[Mapping[str, Any]]:
    """Return the nodes that are alive."""
    return [node for node in ray.nodes() if node["Alive"]]


def count_slots(resources: Mapping[str, float], cpus: int, gpus: float) -> int:
    """Return how many points a node has room for at once.

    Args:
        resources: of the node, as Ray names them.
        cpus: that a point takes.
        gpus: that a point takes; below 1 as many share a GPU as fit wholly.
    """
    room = resources.get("CPU", 0) // cpus
    if gpus:
        cards, unit = resources.get("GPU", 0), 10_000  # Ray counts so finely
        room = min(room, cards // gpus if gpus >= 1 else cards * (unit // round(gpus * unit)))
    return int(room)


def word(error: BaseException) -> str:
    """Say in one line what Ray says in many."""
    text = " ".join(str(getattr(error, "cause", None) or error).split()) or type(error).__name__
    return text[:_LONGEST].rstrip(". ")
