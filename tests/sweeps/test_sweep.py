"""Whole sweeps of experiment ``test``, in this process and as a user starts them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from lottery_pipeline.cli import cli
from lottery_pipeline.sweeps.point import run_point
from lottery_pipeline.sweeps.schedule import make_task
from tests.kedro_project import ROOT, redirected, run, variables
from tests.sweeps.conftest import MakePlan

SMALL = {"data.train_limit": 64}
OPTIONS = ["--env", "test", "--params", "data.train_limit=64", "--workers", "2"]


class Metadata:
    """What Kedro tells its commands about the project."""

    project_path = ROOT


def sweep(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["sweep", *arguments], obj=Metadata())


def read_points(folder: Path) -> list[dict[str, Any]]:
    files = sorted((folder / "data" / "07_model_output" / "test").glob("*/point.json"))
    return [json.loads(file.read_text()) for file in files]


def test_a_point_gives_what_a_run_gives(make_plan: MakePlan, tmp_path: Path) -> None:
    with redirected(tmp_path):
        plan = make_plan({"pipelines": "snip", "seed": 3}, params=SMALL)
        (point,), (shared,) = plan.points, plan.shared
        early = run_point(make_task(plan, point, ROOT))
        assert early["state"] == "failed"
        assert (
            early["error"]
            == f"Point {point.key} needs point {shared.key}, which is not done; compute that one first."
        )
        for each in (shared, point):
            marker = run_point(make_task(plan, each, ROOT))
            assert (marker["state"], marker["error"]) == ("done", "")
        run("snip", seed=3, data={"train_limit": 64}, variant="alone")
    (row,) = marker["rows"]
    alone = json.loads((plan.folder_of("test", "alone") / "snip" / "record.json").read_text())["metrics"]
    assert {key: row[key] for key in alone if key in row and key != "measured"} == {
        key: value for key, value in alone.items() if key in row and key != "measured"
    }
    assert row["fingerprint"] == alone["fingerprint"]
    assert not (plan.data_root / "03_primary" / "test" / point.variant).exists()
    assert run_point(make_task(plan, point, Path("nowhere"))) == {**marker, "format": 1}  # nothing runs


def test_a_point_that_cannot_run_says_why(make_plan: MakePlan, tmp_path: Path) -> None:
    with redirected(tmp_path):
        plan = make_plan(
            {"pipelines": "data_preparation", "data.source": "arrays", "data.root": "absent.npz"}
        )
        marker = run_point(make_task(plan, plan.points[0], ROOT))
    assert marker["state"] == "failed"
    assert "absent.npz" in marker["error"]
    assert "\n" not in marker["error"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "there is no sweep 'nowhere'; sweep.yml has"),
        (["--grid", "seed=[0,1]"], "needs the axis pipelines"),
        (["--grid", "pipelines=[snip],seed=[]"], "axis seed is empty"),
        (["--grid", "pipelines=[snip],sed=1"], "sed"),
        (["--grid", "pipelines=[filter],extraction.density=[0.1]"], "filter has no option density"),
        (["--grid", "pipelines=[snip]", "--params", "seed=-1"], "Parameter seed"),
        (["--grid", "pipelines=[snip]", "--env", "nowhere"], "There is no experiment 'nowhere'"),
        (["--grid", "pipelines=[snip]", "--point", "x"], "has no point 'x'"),
    ],
)
def test_a_sweep_that_cannot_start_says_why_in_one_sentence(
    tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    with redirected(tmp_path, tracking=True):
        result = sweep(*arguments)
    assert result.exit_code == 1
    assert sentence in result.output
    assert result.output.count("\n") == 1
    assert not (tmp_path / "mlflow.db").exists()
    assert not (tmp_path / "data").exists()


def test_a_dry_run_computes_nothing(tmp_path: Path) -> None:
    with redirected(tmp_path):
        result = sweep("mine", "--grid", "pipelines=[snip,cts],seed=[0,1]", "--env", "test", "--dry-run")
    assert result.exit_code == 0
    assert "mine: 4 points and 2 dense runs that they share; 0 of these are done." in result.output
    assert not (tmp_path / "data").exists()


def test_a_second_start_of_a_sweep_that_runs_is_refused(make_plan: MakePlan, tmp_path: Path) -> None:
    from lottery_pipeline.sweeps.sweep import _locked

    arguments = ["sweep", "s", "--grid", "pipelines=[snip]", "--env", "test"]
    script = (
        "from lottery_pipeline.cli import cli\nfrom tests.sweeps.test_sweep import Metadata\n"
        f"cli({arguments}, obj=Metadata())"
    )
    with redirected(tmp_path), _locked(make_plan({"pipelines": "snip"})):
        second = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
        )
    assert second.returncode == 1
    assert f"The sweep s is being computed already (process {os.getpid()} on " in second.stderr


@pytest.mark.slow
def test_runs_of_points_are_within_that_of_the_sweep(tmp_path: Path, mlflow_uri: str) -> None:
    grid = "pipelines=[snip,random],seed=[0,1]"
    with redirected(tmp_path, tracking=True):
        result = sweep("mine", "--grid", grid, *OPTIONS)
        assert result.exit_code == 0, result.output
        again = sweep("mine", "--grid", grid, *OPTIONS)
        assert again.exit_code == 0, again.output
    client = MlflowClient(mlflow_uri)
    runs = client.search_runs(["1"])
    names = {run.info.run_id: run.info.run_name for run in runs}
    parents = [names.get(run.data.tags.get("mlflow.parentRunId", ""), "") for run in runs]
    assert parents.count("") == 1
    assert parents.count("test/mine") == 6  # four points, two dense runs: none twice
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert [point["attempts"] for point in read_points(tmp_path)] == [1] * 6


@pytest.fixture
def started(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Return a sweep that a user has started in a shell."""
    command = [sys.executable, "-m", "kedro", "sweep", "mine", "--grid", GRID, *OPTIONS]
    with (tmp_path / "out.txt").open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **variables(tmp_path)},
            stdout=out,
            stderr=out,
            start_new_session=True,
            # Where the tests run in the background, Ctrl-C is ignored, and a child would ignore it, too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        yield process
        with_group = process.poll() is None
        if with_group:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


GRID = "pipelines=[snip,random],extraction.density=[0.5,0.25],seed=[0,1]"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_sweep_that_was_stopped_resumes_and_repeats_nothing(
    started: "subprocess.Popen[bytes]", tmp_path: Path, number: signal.Signals
) -> None:
    deadline = time.monotonic() + 240
    while sum(point["state"] == "done" for point in read_points(tmp_path)) < 5:
        assert started.poll() is None, (tmp_path / "out.txt").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    started.send_signal(number)
    assert started.wait(60) == (-number if number == signal.SIGKILL else 130)
    time.sleep(3)  # after kill -9 the workers look once a second whether their parent is there
    before = {point["key"]: point for point in read_points(tmp_path) if point["state"] == "done"}
    log = tmp_path / "data/07_model_output/test" / f"mine.{next(iter(before))}" / "point.log"
    assert "[1/" in log.read_text()
    assert "[1/4]" not in (tmp_path / "out.txt").read_text()  # what points print does not mix
    assert 5 <= len(before) < 10
    with redirected(tmp_path):
        result = sweep("mine", "--grid", GRID, *OPTIONS)
    assert result.exit_code == 0, result.output
    after = {point["key"]: point for point in read_points(tmp_path)}
    assert len(after) == 10
    assert {point["state"] for point in after.values()} == {"done"}
    assert {key: after[key] for key in before} == before  # not a second was spent on them again
    assert result.output.count(": done, ") == 10 - len(before)


def test_a_bad_point_ends_the_command_with_an_error_and_the_others_are_done(tmp_path: Path) -> None:
    grid = "pipelines=[data_preparation],data.train_limit=[64,3]"
    with redirected(tmp_path):
        result = sweep("mine", "--grid", grid, "--env", "test", "--workers", "1", "--retries", "0")
    assert result.exit_code == 1
    assert sorted(point["state"] for point in read_points(tmp_path)) == ["done", "failed"]
    assert "train_limit" in result.output.splitlines()[-1]


@pytest.mark.slow
def test_sweeps_at_the_same_time_never_read_each_other(tmp_path: Path) -> None:
    """Points of the same seed in both, with other images and another density: a mix-up would show."""
    sweeps = {"a": ["64", "0.5"], "b": ["72", "0.25"]}
    processes = []
    for name, (images, density) in sweeps.items():
        grid = f"pipelines=[snip],extraction.density=[{density}],seed=[0,1,2]"
        options = ["--env", "test", "--params", f"data.train_limit={images}", "--workers", "1"]
        command = [sys.executable, "-m", "kedro", "sweep", name, "--grid", grid, *options]
        environment = {**os.environ, **variables(tmp_path)}
        processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL))
    assert [process.wait(280) for process in processes] == [0, 0]
    points = [point for point in read_points(tmp_path) if point["rows"]]
    with redirected(tmp_path):
        for name, (images, density) in sweeps.items():
            alone = {
                "data": {"train_limit": int(images)},
                "snip": {"extraction": {"density": float(density)}},
            }
            run("snip", seed=2, variant=f"alone_{name}", **alone)
            record = tmp_path / "data/07_model_output/test" / f"alone_{name}" / "snip" / "record.json"
            expected = json.loads(record.read_text())["metrics"]
            rows = [point["rows"][0] for point in points if point["sweep"] == name]
            assert sorted(row["seed"] for row in rows) == [0, 1, 2]
            assert {row["kept"] for row in rows} == {expected["kept"]}
            (own,) = (row for row in rows if row["seed"] == 2)
            assert own["fingerprint"] == expected["fingerprint"]
            assert own["test_loss"] == expected["test_loss"]
