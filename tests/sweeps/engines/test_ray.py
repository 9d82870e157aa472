"""Sweeps on Ray: real nodes, which ``ray start`` has started on this machine, one of which is killed."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ray_nodes import RayNode, start_nodes
from lottery_pipeline import __version__
from lottery_pipeline.sweeps.engines.cluster import check_head, count_slots, find_fault
from lottery_pipeline.sweeps.engines.ray import RayEngine
from lottery_pipeline.sweeps.request import SweepError
from lottery_pipeline.sweeps.schedule import make_task
from tests.kedro_project import ROOT, redirected, variables
from tests.sweeps.points import compute, make_instant_plan
from tests.sweeps.test_sweep import sweep

TOKEN = "0123456789abcdef" * 4
VARIABLES = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": TOKEN,
    "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}",
}


def find_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


# Before anything starts -------------------------------------------------------------------------------------


def test_a_head_that_is_not_there_is_told_in_one_sentence(tmp_path: Path) -> None:
    port = find_port()
    arguments = ["--grid", "pipelines=[snip]", "--env", "test", "--engine", "ray"]
    with redirected(tmp_path, tracking=True):
        result = sweep(*arguments, "--address", f"127.0.0.1:{port}")
    assert result.exit_code == 1
    assert f"No head of a Ray cluster answers at 127.0.0.1:{port} " in result.output
    assert "`ray start --head` starts one" in result.output
    assert result.output.count("\n") == 1
    assert not (tmp_path / "mlflow.db").exists()


def test_an_address_without_the_engine_is_refused(tmp_path: Path) -> None:
    with redirected(tmp_path):
        result = sweep("--grid", "pipelines=[snip]", "--env", "test", "--address", "head:6379")
    assert "--address is that of a Ray cluster, but the engine is local." in result.output
    assert not (tmp_path / "data").exists()


def test_another_server_is_not_taken_for_a_head() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(SweepError, match="is not the head of a Ray cluster"):
            check_head(f"127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.parametrize(
    ("resources", "cpus", "gpus", "slots"),
    [
        ({"CPU": 5.0}, 2, 0, 2),
        ({"CPU": 16.0, "GPU": 2.0}, 1, 0.1, 16),
        ({"CPU": 32.0, "GPU": 2.0}, 1, 0.1, 20),
        ({"CPU": 32.0, "GPU": 2.0}, 1, 0.4, 4),  # what is left of one GPU does not help the other
        ({"CPU": 32.0, "GPU": 8.0}, 1, 3, 2),
        ({"CPU": 32.0}, 1, 1, 0),
        ({}, 1, 0, 0),
    ],
)
def test_a_node_has_room_for_as_many_points_as_fit_into_its_cpus_and_gpus(
    resources: dict[str, float], cpus: int, gpus: float, slots: int
) -> None:
    assert count_slots(resources, cpus, gpus) == slots


def test_a_node_must_see_project_and_data_and_have_the_same_version(tmp_path: Path) -> None:
    probe = tmp_path / "probe.txt"
    probe.write_text(str(probe))
    assert find_fault(ROOT, probe, __version__) == ""
    assert find_fault(tmp_path, probe, __version__) == f"the project is not at {tmp_path}"
    assert find_fault(ROOT, probe, "0.0.1") == f"it has lottery_pipeline {__version__} instead of 0.0.1"
    probe.write_text("of another machine")
    assert find_fault(ROOT, probe, __version__).startswith(f"its {tmp_path} is not the folder")
    assert find_fault(ROOT, tmp_path / "absent", __version__).startswith(f"its {tmp_path} is not the folder")


# Real nodes -------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster() -> Iterator[tuple[str, list[RayNode]]]:
    """Start two nodes of one CPU each, which want a token; return the head's address and both."""
    port = find_port()
    with start_nodes(2, port=port, environment=VARIABLES) as nodes:
        yield f"127.0.0.1:{port}", nodes


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_points_of_a_cluster_are_computed_at_most_so_many_at_once(
    cluster: tuple[str, list[RayNode]], tmp_path: Path
) -> None:
    """In a process of its own: Ray reads its variables once."""
    address, _ = cluster
    script = f"from tests.sweeps.engines.test_ray import follow\nfollow({address!r}, {str(tmp_path)!r})"
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, **VARIABLES},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    assert said["slots"] == [2, 1]
    assert said["states"] == ["done"] * 3
    assert said["pids"][0] == said["pids"][1] != said["pids"][2]  # a process computes two points
    assert "WorkerCrashedError" in said["dead"]
    assert said["bad"] == "it is bad"


def follow(address: str, folder: str) -> None:
    """Give points to two engines, and print what comes back."""
    place = Path(folder)
    plan = make_instant_plan(place, "a", "b", "c", "dies", "bad")
    tasks = [make_task(plan, point, place) for point in plan.points]
    both = RayEngine(address, project=ROOT, data_root=place, work=compute)
    slots = [both.slots]
    both.close()
    one = RayEngine(address, project=ROOT, data_root=place, workers=1, points_per_worker=2, work=compute)
    try:
        markers = [one.submit(task).result() for task in tasks[:3]]
        error = one.submit(tasks[3]).exception()
        bad = one.submit(tasks[4]).result()["error"]
    finally:
        slots.append(one.slots)
        one.close()
    found = {
        "slots": slots,
        "states": [marker["state"] for marker in markers],
        "pids": [marker["pid"] for marker in markers],
        "dead": repr(error),
        "bad": bad,
    }
    sys.stdout.write(json.dumps(found))


GRID = "pipelines=[snip,random],extraction.density=[0.5,0.25],seed=[0,1]"
OPTIONS = ["--env", "test", "--params", "data.train_limit=64"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sweep_survives_the_loss_of_a_node(cluster: tuple[str, list[RayNode]], tmp_path: Path) -> None:
    address, nodes = cluster
    command = ["sweep", "mine", "--grid", GRID, *OPTIONS, "--engine", "ray", "--address", address]
    away = tmp_path / "ray"
    with (tmp_path / "out.txt").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "kedro", *command],
            cwd=ROOT,
            env={**os.environ, **variables(away), **VARIABLES},
            stdout=out,
            stderr=out,
        )
        try:
            wait_for_points(away, 4, process)
            nodes[1].kill_raylet()
            assert process.wait(600) == 0, (tmp_path / "out.txt").read_text()
        finally:
            process.kill()
    said = (tmp_path / "out.txt").read_text()
    assert said.count(": done, ") == 10  # eight points and two dense runs: none twice
    assert "(raylet)" not in said
    with redirected(tmp_path / "local"):
        result = sweep("mine", "--grid", GRID, *OPTIONS, "--workers", "1")
    assert result.exit_code == 0, result.output
    found, wanted = read_sweep(away), read_sweep(tmp_path / "local")
    assert len(found) == 10
    assert sum(len(digests) for *_, digests in found.values()) >= 8
    assert found == wanted


def wait_for_points(folder: Path, count: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until some points are done, and another has begun."""
    deadline = time.monotonic() + 400
    while True:
        states = [marker["state"] for marker in read_markers(folder).values()]
        if states.count("done") >= count and "running" in states:
            return
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)


def read_markers(folder: Path) -> dict[str, dict[str, Any]]:
    files = (folder / "data" / "07_model_output" / "test").glob("*/point.json")
    return {file.parent.name: json.loads(file.read_text()) for file in files}


def read_sweep(folder: Path) -> dict[str, Any]:
    """Return what each point has made, without times: its metrics and the digests of its tickets."""
    points: dict[str, Any] = {}
    for variant, marker in read_markers(folder).items():
        records = sorted((folder / "data" / "07_model_output" / "test" / variant).glob("*/record.json"))
        metrics = [json.loads(path.read_text()).get("metrics", {}) for path in records]
        files = sorted((folder / "data" / "06_models" / "test" / variant).rglob("*ticket.safetensors"))
        digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()]
        computed = [{key: value for key, value in each.items() if key != "measured"} for each in metrics]
        points[variant] = (marker["state"], marker["fingerprint"], computed, digests)
    return points
