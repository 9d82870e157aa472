"""Interrupted at random moments and started again each time, a run ends with the same bits."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lottery_pipeline.reproducibility.measured import MEASURED
from lottery_pipeline.training.history import CLOCK_COLUMNS
from tests.forked_runs import Server, serving
from tests.kedro_project import ROOT, load_catalog, redirected, variables

# Stages of one run, in its order; each is interrupted three times, twice by SIGKILL and once by SIGINT.
STAGES = (
    "dense_pretraining.pretrain_dense",
    "cts.extract_ticket",
    "layer.extract_ticket",
    "ltr.extract_ticket",
    "cts.retrain_ticket",
    "ltr.retrain_ticket",
    "ltr.train_controls",
    "ltr.evaluate_ticket",
    "reporting.draw_figures",
    "reporting.write_report",
)
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGKILL)
PIPELINES = ("cts", "layer", "ltr", "reporting")
# Long enough to be hit in every stage; checkpoints are saved every 0.2 s.
PARAMS: dict[str, Any] = {
    "model": {"name": "resnet20"},
    "data": {"train_limit": 160},
    "pretraining": {"epochs": 4},
    "cts": {"extraction": {"length": 6}},
    "layer": {"extraction": {"removed": 2}},
}
PROGRESS = re.compile(r"progress: \[\d+/\d+\] (?P<node>[\w.]+)")
CLOCK = {MEASURED, *CLOCK_COLUMNS}
MEASURED_WORDS = ("seconds", "latency", "speedup", "memory", "carbon", "co2", "energy")
# Long enough to be killed in: many small batches, and attacks of many steps.
ATTACKS = "robustness_evaluation.adversarial.images=null,robustness_evaluation.adversarial.batch_size=16"
ATTACKS += ",robustness_evaluation.adversarial.steps=60,robustness_evaluation.adversarial.fmn_steps=60"


def start(pipeline: str, folder: Path, params: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "kedro", "run", "--env", "test", "--pipelines", pipeline, "--params", params],
        cwd=ROOT,
        env={**os.environ, **variables(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def finish(pipeline: str, folder: Path, params: str) -> float:
    began = time.monotonic()
    assert start(pipeline, folder, params).wait(timeout=300) == 0
    return time.monotonic() - began


def kill_at(moment: float, pipeline: str, folder: Path, params: str) -> bool:
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


def list_stages(log: Path) -> list[str]:
    """Names of the nodes that a run has reached, as it says itself."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [match["node"] for match in map(PROGRESS.search, lines) if match]


def measure_stages(server: Server, folder: Path) -> dict[str, float]:
    """Let a run end; return the seconds that each of its nodes took."""
    pid = server.start(folder, folder / "log", *PIPELINES, **PARAMS)
    began: dict[str, float] = {}
    while not server.has_ended(pid):
        for stage in list_stages(folder / "log"):
            began.setdefault(stage, time.monotonic())
        time.sleep(0.01)
    assert server.wait(pid) == 0, (folder / "log").read_text()
    ends = [*list(began.values())[1:], time.monotonic()]
    return {stage: end - start for (stage, start), end in zip(began.items(), ends, strict=True)}


def interrupt(server: Server, folder: Path, stage: str, delay: float, number: signal.Signals) -> bool:
    """Start a run and interrupt it some time after it has reached a stage; whether it was still running."""
    log = folder / "log"
    log.unlink(missing_ok=True)
    pid = server.start(folder, log, *PIPELINES, **PARAMS)
    while not server.has_ended(pid) and stage not in list_stages(log):
        time.sleep(0.01)
    time.sleep(delay)
    hit = not server.has_ended(pid)
    if hit:
        os.kill(pid, number)
    status = server.wait(pid)
    assert status in ((-number, 128 + number, 0) if hit else (0,)), log.read_text()
    return status != 0


def without_clock(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_clock(item) for key, item in value.items() if key not in CLOCK}
    return [without_clock(item) for item in value] if isinstance(value, list) else value


def load_results(folder: Path) -> dict[str, Any]:
    """All results of a run that no clock is part of."""
    with redirected(folder):
        catalog = load_catalog(**PARAMS)
        dense, ladder = catalog.load("dense_run"), catalog.load("ltr.ladder")
        tickets = {
            f"{method}.{kind}": catalog.load(f"{method}.{kind}").to_bytes()
            for method in ("cts", "layer", "ltr")
            for kind in ("ticket", "trained_ticket")
        }
    weights = {
        f"{part}.{k}": v for part in ("initial", "rewind", "final") for k, v in getattr(dense, part).items()
    }
    outputs = folder / "data" / "07_model_output"
    records = {
        str(path.relative_to(outputs)): without_clock(json.loads(path.read_text()))
        for path in outputs.rglob("*.json")
    }
    board = pd.read_csv(folder / "data/08_reporting/test/base/leaderboard.csv")
    steady = [name for name in board if not any(word in name for word in MEASURED_WORDS)]
    return {
        "weights": {name: tensor.numpy().tobytes() for name, tensor in weights.items()},
        "ladder": (
            ladder.fingerprint,
            {name: rounds.numpy().tobytes() for name, rounds in ladder.survived.items()},
        ),
        **tickets,
        **records,
        "leaderboard": board[steady].to_csv(),
    }


def list_files(folder: Path) -> set[str]:
    """All files of a run but checkpoints; of the versions of a ticket, one."""
    paths = [path.relative_to(folder) for path in (folder / "data").rglob("*") if path.is_file()]
    paths = [path for path in paths if (path.parts[1], path.suffix) != ("work", ".safetensors")]
    return {str(path.parents[1] if path.parents[1].name == path.name else path) for path in paths}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_thirty_interruptions_change_no_bit_and_leave_nothing(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    generator = random.Random(0)
    with serving() as server:
        seconds = measure_stages(server, whole)
        for stage in STAGES:
            for number in SIGNALS:
                # In the first half, as work that is resumed is shorter; a run that ends before is done again.
                assert any(
                    interrupt(server, broken, stage, generator.random() / 2 * seconds[stage], number)
                    for _ in range(5)
                ), f"{stage} was never hit"
        pid = server.start(broken, broken / "log", *PIPELINES, **PARAMS)
        assert server.wait(pid) == 0, (broken / "log").read_text()
    assert load_results(broken) == load_results(whole)
    assert list_files(broken) == list_files(whole)
    assert not any(path.read_text() for path in broken.glob("data/work/test/base/locks/*"))
    # One may stay: of a dense run whose process was killed between storing it and clearing its checkpoint.
    assert len(list(broken.glob("data/work/**/*.safetensors"))) <= 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_an_evaluation_killed_at_random_moments_ends_in_the_same_table(tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        finish("snip", tmp_path / name, ATTACKS)
    duration = finish("robustness_evaluation", tmp_path / "whole", ATTACKS)
    generator = random.Random(0)
    kills = 0
    # Every run gets further than the one before, so the kills end; on a machine that has become busier, too,
    # where a run would otherwise be killed before it has read what the one before has left.
    while kill_at(
        generator.uniform(0.5, 0.95) * duration * (1 + kills / 20),
        "robustness_evaluation",
        tmp_path / "killed",
        ATTACKS,
    ):
        kills += 1
        assert kills < 50
    tables = [
        next((tmp_path / name).glob("data/08_reporting/**/robustness.csv")) for name in ("whole", "killed")
    ]
    assert tables[0].read_bytes() == tables[1].read_bytes()
    assert kills > 0
