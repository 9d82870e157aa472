"""Killed with SIGKILL at random moments and started again each time, a run ends with the same bits."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from lottery_pipeline.reproducibility.measured import MEASURED
from lottery_pipeline.training.history import CLOCK_COLUMNS
from tests.kedro_project import ROOT, load_catalog, redirected, variables

PARAMS = "model.name=resnet20,data.train_limit=640,pretraining.epochs=10,pretraining.evaluation_interval=7"
PARAMS += ",cts.extraction.length=30"
# Long enough to be killed in: many small batches, and attacks of many steps.
ATTACKS = "robustness_evaluation.adversarial.images=null,robustness_evaluation.adversarial.batch_size=16"
ATTACKS += ",robustness_evaluation.adversarial.steps=60,robustness_evaluation.adversarial.fmn_steps=60"
KILLS = 10
CLOCK = {MEASURED, *CLOCK_COLUMNS}


def start(pipeline: str, folder: Path, params: str = PARAMS) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "kedro", "run", "--env", "test", "--pipelines", pipeline, "--params", params],
        cwd=ROOT,
        env={**os.environ, **variables(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def finish(pipeline: str, folder: Path, params: str = PARAMS) -> float:
    began = time.monotonic()
    assert start(pipeline, folder, params).wait(timeout=300) == 0
    return time.monotonic() - began


def kill_at(moment: float, pipeline: str, folder: Path, params: str = PARAMS) -> bool:
    """Start a run and kill it; whether it was still running then."""
    process = start(pipeline, folder, params)
    try:
        process.wait(timeout=moment)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    assert process.returncode == 0, "a restarted run failed"
    return False


def without_clock(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_clock(item) for key, item in value.items() if key not in CLOCK}
    return [without_clock(item) for item in value] if isinstance(value, list) else value


def load_results(method: str, folder: Path) -> dict[str, Any]:
    with redirected(folder):
        catalog = load_catalog()
        dense = catalog.load("dense_run")
        parts = ("history", "metrics", "trace", "search")
        parts += ("ladder_table", "controls") if method == "ltr" else ()
        records = ("dense_record", f"{method}.record", *(f"{method}.{part}" for part in parts))
        return {
            "weights": {
                **{
                    f"{part}.{k}": v
                    for part in ("initial", "rewind", "final")
                    for k, v in getattr(dense, part).items()
                },
                **(catalog.load("ltr.ladder").survived if method == "ltr" else {}),
            },
            "ticket": catalog.load(f"{method}.ticket").to_bytes(),
            "trained ticket": catalog.load(f"{method}.trained_ticket").to_bytes(),
            **{name: without_clock(catalog.load(name)) for name in records},
        }


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("method", ["ltr", "cts"])
def test_ten_kills_change_no_bit(method: str, tmp_path: Path) -> None:
    duration = finish(method, tmp_path / "whole")
    generator = random.Random(0)
    kills = starts = 0
    anew = True
    while kills < KILLS:
        began = time.monotonic()
        # Not in the first seconds: that is Python importing libraries.
        killed = kill_at(generator.uniform(0.2, 0.9) * duration, method, tmp_path / "killed")
        if anew and not killed:  # other work slowed the first run; by its length most moments come too late
            duration = time.monotonic() - began
        anew = not killed
        kills += killed
        starts += 1
        assert starts < 5 * KILLS
    finish(method, tmp_path / "killed")

    whole, resumed = (load_results(method, tmp_path / name) for name in ("whole", "killed"))
    weights, theirs = whole.pop("weights"), resumed.pop("weights")
    assert weights.keys() == theirs.keys()
    assert all(torch.equal(weights[name], theirs[name]) for name in weights)
    assert whole == resumed
    # One may stay: of a dense run whose process was killed between storing it and clearing its checkpoint.
    assert len(list((tmp_path / "killed").glob("data/work/**/*.safetensors"))) <= 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_an_evaluation_killed_at_random_moments_ends_in_the_same_table(tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        finish("snip", tmp_path / name, ATTACKS)
    duration = finish("robustness_evaluation", tmp_path / "whole", ATTACKS)
    generator = random.Random(0)
    kills = 0
    # Every run gets further than the one before, so the kills end.
    while kill_at(
        generator.uniform(0.5, 0.95) * duration, "robustness_evaluation", tmp_path / "killed", ATTACKS
    ):
        kills += 1
        assert kills < 50
    tables = [
        next((tmp_path / name).glob("data/08_reporting/**/robustness.csv")) for name in ("whole", "killed")
    ]
    assert tables[0].read_bytes() == tables[1].read_bytes()
    assert kills > 0
