"""Slurm: the scripts of arrays that compute a sweep, a point per task, on nodes that share a file system."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.sweeps.engines import share_cores
from lottery_pipeline.sweeps.plan import Plan, Point
from lottery_pipeline.sweeps.request import SweepError, SweepRequest

FOLDER = "slurm"
SUBMIT = "submit.sh"
MOST_TASKS = 1000  # of an array: what Slurm allows unless its administrator says otherwise


def write_scripts(
    plan: Plan, missing: Sequence[Point], request: SweepRequest, project: Path, command: Sequence[str]
) -> Path:
    """Write the scripts beside the plan: an array of shared points, one of all others, and the report.

    Args:
        plan: of the sweep.
        missing: its points that are not done; only these are computed.
        request: what a point takes, how many are computed at once, and how often each is tried.
        project: the project's folder.
        command: that starts the same sweep.

    Returns:
        The script that submits the others.

    Raises:
        SweepError: a point takes a part of a GPU, which Slurm does not give.
    """
    if request.gpus_per_point % 1:
        raise SweepError(
            "Slurm gives whole GPUs: gpus_per_point must be 0, 1, 2 and so on with engine slurm."
        )
    folder = plan.path.parent / FOLDER
    shared = {point.variant for point in plan.shared}
    parts = {
        "shared": [point.key for point in missing if point.variant in shared],
        "points": [point.key for point in missing if point.variant not in shared],
    }
    scripts: dict[str, str] = {}
    for name, keys in parts.items():
        if keys:
            write_atomically(folder / f"{name}.txt", "".join(f"{key}\n" for key in keys).encode())
            scripts[name] = _write_array(
                plan, name, folder / f"{name}.txt", len(keys), request, project, command
            )
    scripts["report"] = _write_report(plan, project, command)
    for name, text in scripts.items():
        write_atomically(folder / f"{name}.sbatch", text.encode())
    write_atomically(folder / SUBMIT, _write_submission(folder, list(scripts)).encode())
    return folder / SUBMIT


def repeat_command(name: str, given: Mapping[str, Any]) -> list[str]:
    """Return the command that makes the same plan again.

    Args:
        name: of the sweep.
        given: options of the command line.
    """
    command = [sys.executable, "-m", "kedro", "sweep", name]
    command += [f"--env={given['env']}"] if given["env"] else []
    command += [f"--grid={grid}" for grid in given["grid"]]
    return command + ([f"--params={given['params']}"] if given["params"] else [])


def _write_array(
    plan: Plan,
    name: str,
    keys: Path,
    count: int,
    request: SweepRequest,
    project: Path,
    command: Sequence[str],
) -> str:
    """Return a script whose tasks each compute some lines of the file ``keys``."""
    each = -(-count // MOST_TASKS)
    tasks = -(-count // each)
    throttle = f"%{request.workers}" if request.workers else ""
    options = [f"--array=1-{tasks}{throttle}", f"--cpus-per-task={request.cpus_per_point}"]
    options += [f"--gres=gpu:{int(request.gpus_per_point)}"] if request.gpus_per_point else []
    options += [f"--output={name}-%A-%a.out"]
    threads = [f"export {key}={value}" for key, value in share_cores(1, request.cpus_per_point).items()]
    attempts = " ".join(str(number) for number in range(1, request.retries + 2))
    last = f"SLURM_ARRAY_TASK_ID * {each}"
    return _join(
        *_head(plan, f"{name}", options, project),
        *threads,
        f"last=$(( {last} )) failed=0",
        f'for key in $(sed -n "$(( last - {each - 1} )),${{last}}p" {shlex.quote(str(keys))}); do',
        f"    for attempt in {attempts}; do",
        f'        {shlex.join(command)} --point "$key" && continue 2',
        "    done",
        "    failed=1",
        "done",
        "exit $failed",
    )


def _write_report(plan: Plan, project: Path, command: Sequence[str]) -> str:
    return _join(
        *_head(plan, "report", ["--output=report-%j.out"], project), f"{shlex.join(command)} --report"
    )


def _head(plan: Plan, name: str, options: Sequence[str], project: Path) -> list[str]:
    return [
        "#!/bin/bash",
        f"#SBATCH --job-name={plan.sweep}.{name}",
        *(f"#SBATCH {option}" for option in options),
        f"cd {shlex.quote(str(project))} || exit 1",
    ]


def _write_submission(folder: Path, names: Sequence[str]) -> str:
    """Return a script that submits the others, one after the end of the other.

    After its end, and not after its success: a failed point must not keep others from being computed. A point
    whose dense run has failed says so in its first second.
    """
    return _join(
        "#!/bin/bash",
        "# Gives its options to every sbatch: bash submit.sh --partition=gpu --time=2:00:00",
        "set -eu",
        f"cd {shlex.quote(str(folder))}",
        f"for name in {' '.join(names)}; do",
        '    job=$(sbatch --parsable ${after:+"$after"} "$@" "$name.sbatch")',
        '    echo "$name: job ${job%%;*}"',
        '    after="--dependency=afterany:${job%%;*}"',
        "done",
    )


def _join(*lines: str) -> str:
    return "\n".join(lines) + "\n"
