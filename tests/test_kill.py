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
KILLS = 10
CLOCK = {MEASURED, *CLOCK_COLUMNS}


def start(method: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "kedro", "run", "--env", "test", "--pipelines", method, "--params", PARAMS],
        cwd=ROOT,
        env={**os.environ, **variables(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def finish(method: str, folder: Path) -> float:
    began = time.monotonic()
    assert start(method, folder).wait(timeout=300) == 0
    return time.monotonic() - began


def kill_at(moment: float, method: str, folder: Path) -> bool:
    """Start a run and kill it; whether it was still running then."""
    process = start(method, folder)
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
