"""Seconds that MLflow adds to a run.

    python -m benchmarks.speed.tracking [--rounds N] [--methods M] [--output FILE]

Each round runs the same command twice, as a user does, in an order that alternates: without tracking, and
with it, its store and its models. The methods are saliency methods on the default experiment (ResNet-20,
digits), whose search takes no time; images and dense run are stored before the clock starts.

The result is written to results/tracking.json beside this script.

Found: a run of three methods takes 31.8 s, and 3.6 s more with tracking (2.9 to 8.0 s).
Machine: 2 cores of an AMD EPYC (AVX-512), torch 2.14.1, shared with others.
Runs: 5 rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.environment import describe_environment
from lottery_pipeline.reproducibility.files import write_atomically

PROJECT = Path(__file__).parents[2]
METHODS = ("snip", "magnitude", "random", "synflow", "grasp")


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--methods", type=int, default=3, help="how many methods a run has")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "tracking.json")
    options = parser.parse_args()
    methods = METHODS[: options.methods]
    rounds: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        run(folder, ("dense_pretraining",), tracked=True)  # also makes the store
        for number in range(options.rounds):
            order = (False, True) if number % 2 else (True, False)
            seconds = {tracked: run(folder, methods, tracked=tracked) for tracked in order}
            rounds.append({"without": seconds[False], "with": seconds[True]})
            print(
                f"round {number + 1}: {seconds[False]:.1f} s without, {seconds[True]:.1f} s with", flush=True
            )
    result = summarise(rounds, methods)
    print(json.dumps(result["summary"], indent=1))
    write_atomically(options.output, (json.dumps(result, indent=1) + "\n").encode())


def run(folder: str, pipelines: tuple[str, ...], *, tracked: bool) -> float:
    """Run pipelines as a command; return its seconds."""
    environment = {
        **os.environ,
        "LOTTERY_DATA_ROOT": f"{folder}/data",
        "LOTTERY_TRACKING": str(tracked).lower(),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
    }
    command = [sys.executable, "-m", "kedro", "run", "--pipelines", ",".join(pipelines)]
    began = time.perf_counter()
    subprocess.run(command, cwd=PROJECT, env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


def summarise(rounds: list[dict[str, float]], methods: tuple[str, ...]) -> dict[str, Any]:
    """Put the differences within the rounds into one record."""
    added = [entry["with"] - entry["without"] for entry in rounds]
    summary = {
        "seconds_without": statistics.median(entry["without"] for entry in rounds),
        "seconds_added": statistics.median(added),
        "seconds_added_least": min(added),
        "seconds_added_most": max(added),
    }
    return {
        "environment": describe_environment(),
        "methods": list(methods),
        "rounds": rounds,
        "summary": summary,
    }


if __name__ == "__main__":
    main()
