"""A sweep on two Ray nodes, one of which is killed half way: whether every point ends once, and is the same.

    python -m benchmarks.speed.sweep_nodes [--env EXPERIMENT] [--output FILE]

The sweep `methods`: four methods, two densities, three seeds, 24 points and three dense runs, in experiment
`test`, whose points take seconds. It is computed on a head and a second node, both started by ``ray start``
on this machine. Once twelve points are done and another runs, the second node's raylet gets SIGKILL. Then the
sweep is computed again by worker processes. Compared are all bytes of all tensors, and all values of the
records that are not measured.

The result is written to results/sweep_nodes.json beside this script.

Found: all 24 points and three dense runs end, none twice, each once in the table of the report. Their 84
artefacts are those of the worker processes, bit for bit. It took 194 s on a machine that others kept busy.
Machine: 2 cores of an AMD EPYC (AVX-512), torch 2.14.1, Ray 2.60.
Runs: one, with three seeds.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas

from benchmarks.environment import describe_environment
from benchmarks.ray_nodes import RayNode, start_nodes
from benchmarks.speed.artefacts import hash_artefacts
from lottery_pipeline.reproducibility.files import write_atomically

PROJECT = Path(__file__).parents[2]
SWEEP = "methods"
HALF = 12
PORT = 6399


def main() -> None:
    """Compute, kill, compare, print and record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--env", default="test", help="the experiment")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "sweep_nodes.json")
    options = parser.parse_args()
    environment = {"RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(PROJECT / "src")}
    with tempfile.TemporaryDirectory() as folder:
        ray, local = Path(folder) / "ray", Path(folder) / "local"
        with start_nodes(2, port=PORT, environment=environment) as nodes:
            arguments = ["--engine", "ray", "--address", f"127.0.0.1:{PORT}"]
            process, began = start(ray, options.env, arguments, environment), time.monotonic()
            killed = kill_half_way(ray, nodes[1], process)
            said = finish(process)
            seconds = time.monotonic() - began
        finish(start(local, options.env, ["--workers", "2"], {}))
        found, wanted = hash_artefacts(ray), hash_artefacts(local)
        (table,) = ray.glob("08_reporting/*/*/sweep_results.parquet")
        tickets = pandas.read_parquet(table).query("kind == 'ticket'")
        markers = [json.loads(path.read_text()) for path in ray.glob("07_model_output/*/*/point.json")]
    ended = Counter(re.findall(r"\] (\S+): done", said))
    result: dict[str, Any] = {
        "environment": describe_environment(),
        "states": dict(Counter(marker["state"] for marker in markers)),
        "done_before_the_kill": killed,
        "ended_twice": sorted(key for key, times in ended.items() if times > 1),
        "told": len(ended),
        "tickets_in_the_table": len(tickets),
        "points_in_the_table": tickets["point"].nunique(),
        "seconds": round(seconds, 1),
        "artefacts": sum(len(files) for files in found.values()),
        "different": sorted(key for key in found.keys() | wanted if found.get(key) != wanted.get(key)),
    }
    print(json.dumps(result, indent=1))
    write_atomically(options.output, (json.dumps(result, indent=1) + "\n").encode())


def start(
    folder: Path, env: str, arguments: Sequence[str], environment: dict[str, str]
) -> "subprocess.Popen[str]":
    """Start the sweep as a command."""
    folder.mkdir(parents=True)
    return subprocess.Popen(
        [sys.executable, "-m", "kedro", "sweep", SWEEP, "--env", env, *arguments],
        cwd=PROJECT,
        env={
            **os.environ,
            **environment,
            "LOTTERY_DATA_ROOT": str(folder),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        },
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> str:
    """Return what a sweep has printed, once it has ended well."""
    said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"the sweep has failed: {said}")
    return said


def kill_half_way(folder: Path, node: RayNode, process: "subprocess.Popen[str]") -> int:
    """Kill a node once half of the points are done and one more runs; return how many are done."""
    while process.poll() is None:
        paths = folder.glob("07_model_output/*/*/point.json")
        states = Counter(json.loads(path.read_text())["state"] for path in paths)
        if states["done"] >= HALF and states["running"]:
            node.kill_raylet()
            return states["done"]
        time.sleep(0.1)
    raise RuntimeError("the sweep has ended before the node was killed")


if __name__ == "__main__":
    main()
