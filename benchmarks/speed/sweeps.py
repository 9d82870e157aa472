"""How a sweep grows: its plan, its bookkeeping and its report, from a hundred points to ten thousand.

    python -m benchmarks.speed.sweeps [--points N ...] [--output FILE]

Points are instant: a worker process writes the file that a point of a method leaves, with as many numbers,
and nothing else. Everything around them is that of ``kedro sweep``: the plan of the default experiment (four
methods, five densities, seeds), the dense runs that points share, the schedule, two worker processes, the
progress lines, one MLflow run, and pipeline ``sweep_report``. Every size runs in a process of its own, which
tells its peak of memory.

The result is written to results/sweeps.json beside this script.

Found: 10,000 points and 500 dense runs take 79 s and at most 1.1 GiB. Seconds by number of points:

    points   plan   MLflow, opened   schedule   started again   report   peak
       100    0.3             14.9        9.8             0.0      5.9   0.87 GiB
     1,000    1.5             16.5       15.7             0.1      3.8   0.90 GiB
    10,000    4.8             10.7       55.9             1.7      5.8   1.09 GiB

The schedule includes the start of the workers; its own process needs 0.75 ms of CPU per point. Of the peak,
0.72 GiB are libraries: Kedro and torch take 0.54 GiB before the first point is planned, MLflow the rest.
Machine: 2 cores of an AMD EPYC (AVX-512), shared with others all the time, torch 2.14.1.
Runs: one of each size, with 5, 50 and 500 seeds.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.environment import describe_environment
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.sweeps.markers import DONE, write_marker
from lottery_pipeline.sweeps.point import Marker, Task

PROJECT = Path(__file__).parents[2]
PIPELINES = ["ltr", "cts", "snip", "random"]
DENSITIES = [0.17, 0.1, 0.05, 0.018, 0.0044]
NUMBERS = 60  # of a row of a method's record


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--points", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "sweeps.json")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options.only)))
        return
    rows = []
    for count in options.points:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(run(count, folder))
        print(json.dumps(rows[-1]), flush=True)
    result = {"environment": describe_environment(), "rows": rows}
    write_atomically(options.output, (json.dumps(result, indent=1) + "\n").encode())


def run(count: int, folder: str) -> dict[str, Any]:
    """Measure one size in a process of its own."""
    environment = {
        **os.environ,
        "LOTTERY_DATA_ROOT": f"{folder}/data",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
    }
    command = [sys.executable, "-m", "benchmarks.speed.sweeps", "--only", str(count)]
    ended = subprocess.run(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    row: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return row


def measure(count: int) -> dict[str, Any]:
    """Return seconds and peak memory of a sweep of instant points."""
    from kedro.framework.project import pipelines
    from kedro.framework.startup import bootstrap_project

    from lottery_pipeline.sweeps.engines.local import LocalEngine
    from lottery_pipeline.sweeps.plan import Planner
    from lottery_pipeline.sweeps.progress import Progress
    from lottery_pipeline.sweeps.request import read_request
    from lottery_pipeline.sweeps.schedule import Schedule
    from lottery_pipeline.sweeps.sweep import open_sweep_run, report

    bootstrap_project(PROJECT)
    planner = Planner(PROJECT, dict(pipelines))
    seeds = list(range(count // len(PIPELINES) // len(DENSITIES)))
    grid = {"pipelines": PIPELINES, "extraction.density": DENSITIES, "seed": seeds}
    request = read_request("scale", {"grid": grid, "tracking": "parent"})
    clock = Clock()
    plan = planner.plan("scale", request)
    clock.note("plan")
    run = open_sweep_run(plan, request, planner)
    plan.save(tracking=run.tracking, run=run.identity)
    clock.note("open")
    engine = LocalEngine(2, points_per_worker=100_000, work=compute)
    schedule = Schedule(plan, engine, Progress(plan, workers=2), project=PROJECT, environment=run.environment)
    schedule.run()
    engine.close()
    clock.note("schedule")
    Schedule(plan, engine, Progress(plan, workers=2), project=PROJECT).run()  # all is done
    clock.note("resume")
    report(plan, PROJECT, run)
    run.finish("FINISHED")
    clock.note("report")
    return {
        "points": len(plan.points),
        "shared": len(plan.shared),
        "computed": schedule.computed,
        "seconds": clock.seconds,
        "cpu_seconds": clock.cpu_seconds,
        "peak_mib": clock.peaks,
    }


class Clock:
    """Seconds, CPU seconds of this process, and peaks of its memory, part by part."""

    def __init__(self) -> None:
        self._began, self._cpu = time.monotonic(), time.process_time()
        self.seconds: dict[str, float] = {}
        self.cpu_seconds: dict[str, float] = {}
        self.peaks: dict[str, float] = {}

    def note(self, part: str) -> None:
        """Note what a part has taken, and begin the next."""
        now, cpu = time.monotonic(), time.process_time()
        self.seconds[part] = round(now - self._began, 2)
        self.cpu_seconds[part] = round(cpu - self._cpu, 2)
        self.peaks[part] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
        self._began, self._cpu = now, cpu


def compute(task: Task) -> Marker:
    """Leave what a point of a method leaves; its numbers depend on where it is in the grid."""
    point = task.point
    density, seed = point.axes.get("density", 1.0), point.axes["seed"]
    chance = int(point.fingerprint[:6], 16) / 2**24
    accuracy = round((0.9 + 0.08 * density**0.25 + 0.01 * chance) * 1797) / 1797
    kept, prunable = round(density * 270_896), 270_896
    method = point.pipelines[0]
    row: dict[str, Any] = {
        "kind": "ticket",
        "rung": None,
        "method": method,
        "start": "rewind",
        "seed": seed,
        "metric": "accuracy",
        "model": "resnet20",
        "density": kept / prunable,
        "kept": kept,
        "prunable": prunable,
        "dense_accuracy": 0.985,
        "test_accuracy": accuracy,
        "accuracy_delta": accuracy - 0.985,
        "test_count": 359,
        "search_epochs": 13.0,
        "train_epochs": 12.0,
        "search_seconds": 9.5,
        "train_seconds": 8.5,
        "fingerprint": point.fingerprint,
        "dense_fingerprint": point.parent,
    }
    row |= {f"number_{number}": chance + number for number in range(NUMBERS - len(row))}
    marker: Marker = {
        "sweep": task.sweep,
        "key": point.key,
        "fingerprint": point.fingerprint,
        "state": DONE,
        "attempts": task.attempts,
        "host": "benchmark",
        "pid": os.getpid(),
        "started": "2026-01-01T00:00:00+00:00",
        "ended": "2026-01-01T00:00:30+00:00",
        "seconds": 30.0,
        "error": "",
        "rows": [row] if point.shared else [],
    }
    task.folder.mkdir(parents=True, exist_ok=True)
    write_marker(task.folder, marker)
    return marker


if __name__ == "__main__":
    main()
