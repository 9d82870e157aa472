"""Scripts for Slurm, run by bash with an emulated array; ``sbatch`` and the sweep's command are stand-ins."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lottery_pipeline.sweeps.engines import slurm
from lottery_pipeline.sweeps.engines.slurm import repeat_command, write_scripts
from lottery_pipeline.sweeps.plan import Plan
from lottery_pipeline.sweeps.request import SweepError, read_request
from tests.kedro_project import redirected
from tests.sweeps.points import make_instant_plan
from tests.sweeps.test_sweep import sweep

# A queue that runs a job at once, every task of its array, and keeps what it was told.
SBATCH = """#!/bin/bash
echo "$*" >> "$LOG"
script="${@: -1}"
tasks=$(sed -n 's/^#SBATCH --array=1-\\([0-9]*\\).*/\\1/p' "$script")
for task in $(seq 1 "${tasks:-1}"); do
    SLURM_ARRAY_TASK_ID=$task bash "$script" >> "$LOG.out" 2>&1 || echo "task $task failed" >> "$LOG"
done
echo "$((100 + $(wc -l < "$LOG")));cluster"
"""
# The command of a sweep: keeps its arguments, and fails for keys with `bad`.
COMMAND = """#!/bin/bash
printf '%s|' "$@" >> "$LOG"; echo >> "$LOG"
[[ "$*" != *bad* ]]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a name that a shell would take apart, with stand-ins for the commands in it."""
    folder = tmp_path / "it's a $HOME"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("command", COMMAND)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def write(plan: Plan, project: Path, **request: Any) -> Path:
    grid = {"grid": {"pipelines": ["snip"]}, "engine": "slurm", **request}
    command = [str(project / "command"), "sweep", "s", "--grid=seed=[0, 1]"]
    return write_scripts(plan, plan.list_missing(), read_request("s", grid), project, command)


def submit(script: Path, project: Path, *options: str) -> list[str]:
    """Submit a sweep; return what queue and command were told, in order."""
    environment = {**os.environ, "PATH": f"{project}:{os.environ['PATH']}", "LOG": str(project / "log")}
    ended = subprocess.run(
        ["bash", str(script), *options], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return (project / "log").read_text().splitlines()


def test_every_point_is_computed_after_what_it_shares_and_the_report_comes_last(project: Path) -> None:
    plan = make_instant_plan(project / "data", "aa", "ab", "b", shared="a")
    said = submit(write(plan, project, retries=0), project, "--partition=gpu")
    assert said == [
        "--parsable --partition=gpu shared.sbatch",
        "sweep|s|--grid=seed=[0, 1]|--point|a|",
        "--parsable --dependency=afterany:102 --partition=gpu points.sbatch",
        "sweep|s|--grid=seed=[0, 1]|--point|aa|",
        "sweep|s|--grid=seed=[0, 1]|--point|ab|",
        "sweep|s|--grid=seed=[0, 1]|--point|b|",
        "--parsable --dependency=afterany:106 --partition=gpu report.sbatch",
        "sweep|s|--grid=seed=[0, 1]|--report|",
    ]


def test_an_array_is_no_longer_than_slurm_allows(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "MOST_TASKS", 3)
    plan = make_instant_plan(project / "data", *"abcdefgh")
    script = write(plan, project, retries=0, workers=2)
    assert "#SBATCH --array=1-3%2\n" in (script.parent / "points.sbatch").read_text()
    said = submit(script, project)
    assert re.findall(r"--point\|(\w)\|", "\n".join(said)) == list("abcdefgh")


def test_a_point_that_fails_is_tried_again_and_keeps_no_other_from_being_computed(project: Path) -> None:
    plan = make_instant_plan(project / "data", "a", "bad", "c")
    said = submit(write(plan, project, retries=1), project)
    assert re.findall(r"--point\|(\w+)\|", "\n".join(said)) == ["a", "bad", "bad", "c"]
    assert said.count("task 2 failed") == 1
    assert said[-1].endswith("--report|")


def test_a_task_asks_for_what_a_point_takes(project: Path) -> None:
    plan = make_instant_plan(project / "data", "a")
    script = write(plan, project, cpus_per_point=4, gpus_per_point=2)
    text = (script.parent / "points.sbatch").read_text()
    assert "#SBATCH --cpus-per-task=4\n#SBATCH --gres=gpu:2\n" in text
    assert "export OMP_NUM_THREADS=4\n" in text
    assert "--gres" not in (script.parent / "report.sbatch").read_text()
    with pytest.raises(SweepError, match="Slurm gives whole GPUs"):
        write(plan, project, gpus_per_point=0.5)


def test_the_command_makes_the_same_plan_again() -> None:
    given = {"env": "test", "grid": ("pipelines=[snip],seed=[0,1]",), "params": "data.train_limit=64"}
    assert repeat_command("mine", given)[1:] == [
        *("-m", "kedro", "sweep", "mine", "--env=test"),
        "--grid=pipelines=[snip],seed=[0,1]",
        "--params=data.train_limit=64",
    ]
    assert repeat_command("methods", {"env": None, "grid": (), "params": ""})[-1] == "methods"


def test_points_that_are_done_are_left_out(tmp_path: Path) -> None:
    grid = ["mine", "--grid", "pipelines=[data_preparation],data.train_limit=[64,65]", "--env", "test"]
    with redirected(tmp_path):
        result = sweep(*grid, "--engine", "slurm")
        assert result.exit_code == 0, result.output
        folder = tmp_path / "data" / "07_model_output" / "test" / "mine" / "slurm"
        assert result.output.splitlines()[-1] == f"bash {folder / 'submit.sh'}"
        keys = (folder / "points.txt").read_text().split()
        assert [key.partition("-")[0] for key in keys] == ["data_preparation"] * 2
        assert not (folder / "shared.txt").exists()
        computed = sweep(*grid, "--point", keys[0])
        assert computed.exit_code == 0, computed.output
        sweep(*grid, "--engine", "slurm")
        assert (folder / "points.txt").read_text().split() == keys[1:]
