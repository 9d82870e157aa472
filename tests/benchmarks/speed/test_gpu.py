"""The measurements for a card run to their end on a CPU: no line fails for the first time on a card."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.speed.gpu import SMALLEST, START, Task, has_time, list_parts, measure_compiled, measure_peaks
from benchmarks.speed.gpu_peaks import Kernels, Traffic
from benchmarks.speed.gpu_runners import VARIANTS
from benchmarks.speed.gpu_together import count_speed, run_threads
from tests.kedro_project import ROOT

CPU = torch.device("cpu")
SETTING = replace(SMALLEST, rounds=1)
TASK = Task("resnet20", 64, 2, "bfloat16", "ieee", CPU, size=8)


def test_every_runner_of_a_network_tells_its_speed() -> None:
    result = {"networks": [], "peaks": measure_peaks(SETTING, CPU)}
    assert min(result["peaks"].values()) > 0
    name, measure = next(iter(list_parts(SETTING, CPU, result).items()))
    assert name == "resnet20 64 float32 ieee"
    measure()
    (row,) = result["networks"]
    runners = {"bare", "snip", *VARIANTS, *(f"search, {variant}" for variant in VARIANTS)}
    assert row["images_per_second"].keys() == runners
    assert min(row["images_per_second"].values()) > 0
    assert row["share_of_peak"].keys() == row["share_of_bandwidth"].keys() == {"bare", *VARIANTS}
    assert row["a_step"]["bare"]["operations"] > 500, "forward, backward and step of twenty layers"
    assert row["a_step"]["ours"]["operations"] > 500


def test_trainings_at_once_are_timed_together() -> None:
    assert run_threads(TASK, 2, {}) > 0
    assert count_speed(TASK, [(1.0, 3.0), (1.5, 4.0)]) == 2 * 3 * 128 / 3.0


def test_a_training_that_fails_beside_others_is_an_error() -> None:
    with pytest.raises(ValueError, match="precision"):
        run_threads(TASK, 2, {"precision": "float8"})


def test_a_compiled_step_takes_turns_with_the_bare_one() -> None:
    found = measure_compiled(TASK, SETTING)
    assert found["images_per_second"].keys() == {"bare", "compiled"}
    assert found["first_steps_seconds"] > 0


def test_bytes_are_those_that_operations_read_and_write_backward_passes_included() -> None:
    weight = torch.ones(10, requires_grad=True)
    with Traffic() as traffic:
        product = weight * torch.ones(10).view(2, 5).view(10)  # read 2 x 40, write 40; views move nothing
        forward = traffic.bytes
        product.backward(torch.ones(10))  # the gradient times the ones: as much again
    assert forward == 40 + 120, "ones, then the product"
    assert traffic.bytes == forward + 40 + 120


def test_operations_are_counted_between_start_and_stop() -> None:
    kernels = Kernels(CPU)
    kernels.start()
    torch.ones(3).add_(1)
    assert kernels.stop()["operations"] >= 2


def test_a_part_that_might_not_fit_is_left_out() -> None:
    assert has_time("resnet20 128 bfloat16", 20.0, {START: 30.0})
    assert not has_time("resnet20 128 bfloat16", 20.0, {START: 1.0, "resnet20 512 bfloat16": 9.0})
    assert has_time("resnet20 128 bfloat16", 20.0, {"several at once": 40.0, "resnet20 512 bfloat16": 7.0})
    assert not has_time("compiled", 48.0, {START: 1.0})


@pytest.mark.slow
def test_the_whole_script_runs_in_its_smallest_setting(tmp_path: Path) -> None:
    path = tmp_path / "gpu.json"
    command = [sys.executable, "-m", "benchmarks.speed.gpu", "--smallest", "--device", "cpu"]
    subprocess.run([*command, "--output", str(path)], cwd=ROOT, check=True, capture_output=True)
    result = json.loads(path.read_text())
    assert (result["left_out"], result["failed"]) == ([], {})
    assert any("stay eager" in message for message in result["captures"])
    assert result["together"]["captured"].keys() == {"threads", "processes"}
    assert set(result["together"]["ours"]["processes"]) == {"1", "2"}
