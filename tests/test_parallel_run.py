"""Runs under torchrun, as a user starts them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lottery_pipeline.tickets import Ticket
from tests.kedro_project import ROOT, command, variables
from tests.training.processes import describe

TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "lottery_pipeline")
LTR = ("--env", "test", "--pipelines", "ltr")


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables(folder), "GLOO_SOCKET_IFNAME": "lo", **environment},
        capture_output=True,
        text=True,
        timeout=280,
    )


def list_files(folder: Path) -> list[str]:
    names = [str(path.relative_to(folder)) for path in (folder / "data").rglob("*") if path.is_file()]
    return sorted(re.sub(r"\d{4}-\d\d-\d\dT[\d.]+Z", "<version>", name) for name in names)


def read_result(folder: Path) -> tuple[dict, Ticket]:
    record = json.loads(next(folder.glob("data/07_model_output/test/base/ltr/record.json")).read_text())
    (ticket,) = folder.glob("data/06_models/test/base/ltr/ticket.safetensors/*/ticket.safetensors")
    return record["metrics"], Ticket.load(ticket)


@pytest.mark.slow
def test_two_processes_write_what_one_writes(tmp_path):
    one = command(tmp_path / "one", *LTR, module="lottery_pipeline")
    two = start(tmp_path / "two", *TORCHRUN, *LTR)

    assert (one.returncode, two.returncode) == (0, 0), one.stderr + two.stderr
    assert list_files(tmp_path / "two") == list_files(tmp_path / "one")
    assert two.stdout.count("ltr.extract_ticket") == one.stdout.count("ltr.extract_ticket")
    (alone, expected), (together, found) = read_result(tmp_path / "one"), read_result(tmp_path / "two")
    images = 359
    for name in ("dense_accuracy", "test_accuracy"):
        assert together[name] == pytest.approx(alone[name], abs=3 / images)
    assert together["arithmetic"] == {**alone["arithmetic"], "processes": 2}
    differ = sum(int((found.masks[name] != mask).sum()) for name, mask in expected.masks.items())
    assert differ <= 0.001 * expected.prunable
    assert found.header.parents["dense"] == expected.header.parents["dense"]


@pytest.mark.slow
def test_each_of_two_kedro_runs_is_refused(tmp_path):
    done = start(tmp_path, *TORCHRUN[:-2], "--no-python", sys.executable, "-m", "kedro", "run", *LTR)

    assert done.returncode != 0
    assert done.stderr.count("each of them would do the whole run") >= 1
    assert not list_files(tmp_path)


def test_a_place_without_a_number_ends_in_one_sentence(tmp_path):
    environment = describe(0, 2, 1) | {"RANK": ""}
    done = start(tmp_path, "lottery_pipeline", *LTR, **environment)

    assert done.returncode == 1
    assert done.stderr.strip().startswith(
        "Error: WORLD_SIZE is '2', so several processes are to train together"
    )
    assert "Traceback" not in done.stderr
