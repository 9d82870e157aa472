"""Killed trainings resume where they were, bit for bit."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.training import run as run_module
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.recipe import Recipe
from tests.training.tiny import TinyNet, tiny_images, tiny_masks, untimed

RECIPES = {
    "epochs": Recipe(
        epochs=3,
        batch_size=8,
        learning_rate=0.05,
        flip=True,
        crop_padding=1,
        schedule="cosine",
        clip_norm=1.0,
    ),
    "iterations": Recipe(
        iterations=8, batch_size=8, learning_rate=0.01, optimiser="adam", flip=True, evaluation_interval=5
    ),
}
TOTAL = {"epochs": 9, "iterations": 8}


class Killed(BaseException):
    """Stands for SIGKILL: nobody catches it."""


class DeadlyCheckpoints(Checkpoints):
    """Saves whenever asked and dies around save number ``last``."""

    def __init__(self, folder, *, last: int, before: bool) -> None:
        super().__init__(folder, interval_seconds=0)
        self.left, self.before = last, before

    def save(self, *arguments):
        if self.left == 0 and self.before:
            raise Killed
        path = super().save(*arguments)
        if self.left == 0:
            raise Killed
        self.left -= 1
        return path


@pytest.fixture(autouse=True)
def _every_step_is_a_segment(monkeypatch):
    monkeypatch.setattr(run_module, "_SEGMENT_SECONDS", 0.0)


class DrawingNet(TinyNet):
    """Draws from all that code draws from: torch (dropout), numpy and Python."""

    def forward(self, images):
        if self.training and random.random() < 0.5:
            images = images * np.random.normal(1, 0.1)
        return super().forward(images)


def run(kind: str, checkpoints: Checkpoints | None, told: list | None = None, net: type = TinyNet):
    model = net()
    return train(
        model,
        tiny_images(),
        RECIPES[kind],
        seed=3,
        masks=tiny_masks(model),
        snapshot_steps=[0, 2, 4],
        device="cpu",
        checkpoints=checkpoints,
        on_record=told.append if told is not None else None,
    )


def assert_same(found, expected) -> None:
    assert fingerprint_tensors(found.state) == fingerprint_tensors(expected.state)
    assert found.snapshots.keys() == expected.snapshots.keys()
    for step, snapshot in expected.snapshots.items():
        assert fingerprint_tensors(found.snapshots[step]) == fingerprint_tensors(snapshot)
    assert untimed(found.history) == untimed(expected.history)
    assert found.early_stop_step == expected.early_stop_step
    assert found.fingerprint == expected.fingerprint
    assert found.epochs == expected.epochs


@pytest.mark.parametrize("before", [False, True], ids=["after saving", "before saving"])
@pytest.mark.parametrize("kind", RECIPES)
def test_a_training_killed_at_any_step_resumes_bit_for_bit(kind, before, tmp_path):
    expected = run(kind, None)

    for last in range(TOTAL[kind]):
        folder = tmp_path / str(last)
        with pytest.raises(Killed):
            run(kind, DeadlyCheckpoints(folder, last=last, before=before))
        told = []
        assert_same(run(kind, Checkpoints(folder), told), expected)
        assert untimed(told) == untimed(expected.history)


def test_a_network_that_draws_from_numpy_and_python_resumes_bit_for_bit(tmp_path):
    expected = run("epochs", None, net=DrawingNet)
    assert fingerprint_tensors(expected.state) != fingerprint_tensors(run("epochs", None).state)

    for last in range(TOTAL["epochs"]):
        folder = tmp_path / str(last)
        with pytest.raises(Killed):
            run("epochs", DeadlyCheckpoints(folder, last=last, before=False), net=DrawingNet)
        assert_same(run("epochs", Checkpoints(folder), net=DrawingNet), expected)


def test_a_training_killed_again_and_again_gets_there(tmp_path):
    deaths = 0
    while True:
        try:
            result = run("epochs", DeadlyCheckpoints(tmp_path, last=0, before=False))
            break
        except Killed:
            deaths += 1

    assert deaths == TOTAL["epochs"]  # once at every save: eight on the way, and the finished one
    assert_same(result, run("epochs", None))


def test_a_finished_training_is_not_repeated(tmp_path, monkeypatch):
    expected = run("epochs", Checkpoints(tmp_path))

    def refuse(*_):
        raise AssertionError("a step was made")

    monkeypatch.setattr(run_module.TrainingRun, "_train_until", refuse)
    told = []
    again = run("epochs", Checkpoints(tmp_path), told)

    assert_same(again, expected)
    assert told == expected.history
    assert again.seconds == expected.seconds
    assert len(list(tmp_path.iterdir())) == 1


def test_seconds_add_up_over_interruptions(tmp_path):
    with pytest.raises(Killed):
        run("epochs", DeadlyCheckpoints(tmp_path, last=4, before=False))
    (path,) = tmp_path.glob("*.safetensors")
    spent = Checkpoints(tmp_path).load(path.stem)[1]["seconds"]

    assert run("epochs", Checkpoints(tmp_path)).seconds > spent > 0


@pytest.mark.parametrize("keep", [0, 100, 0.5, -1])
def test_a_damaged_checkpoint_means_a_new_start_not_a_wrong_result(keep, tmp_path, caplog):
    with pytest.raises(Killed):
        run("epochs", DeadlyCheckpoints(tmp_path, last=4, before=False))
    (path,) = tmp_path.glob("*.safetensors")
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])

    result = run("epochs", Checkpoints(tmp_path))

    assert "is damaged" in caplog.text
    assert_same(result, run("epochs", None))


def test_a_checkpoint_that_does_not_fit_the_network_means_a_new_start(tmp_path, caplog):
    checkpoints = Checkpoints(tmp_path)
    expected = run("epochs", checkpoints)
    tensors, record = checkpoints.load(expected.fingerprint)
    checkpoints.save(expected.fingerprint, {**tensors, "state/fc.bias": torch.zeros(9)}, record)

    assert_same(run("epochs", checkpoints), expected)
    assert "does not fit" in caplog.text


def test_another_training_does_not_take_up_the_checkpoint(tmp_path):
    with pytest.raises(Killed):
        run("epochs", DeadlyCheckpoints(tmp_path, last=4, before=False))

    assert_same(run("iterations", Checkpoints(tmp_path)), run("iterations", None))


SCRIPT = """
import os, signal, sys
from lottery_pipeline.reproducibility import checkpoints as module
from lottery_pipeline.training import run as run_module
from tests.training import test_resume
run_module._SEGMENT_SECONDS = 0.0
write, writes, deadly = module.save_file, [0], int(sys.argv[2])
def save_file(tensors, path, metadata):
    writes[0] += 1
    write(tensors, path, metadata)
    if writes[0] == deadly:  # half of the file is on the disk, then the power goes
        with open(path, "r+b") as file:
            file.truncate(os.path.getsize(path) // 2)
        os.kill(os.getpid(), signal.SIGKILL)
module.save_file = save_file
test_resume.run("epochs", module.Checkpoints(sys.argv[1], interval_seconds=0))
"""


def test_a_process_killed_while_it_writes_a_checkpoint_leaves_the_one_before(tmp_path):
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), "4"]

    process = subprocess.run(command, cwd=root, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)

    assert process.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob(".*.tmp"))) == 1
    (path,) = tmp_path.glob("*.safetensors")
    assert Checkpoints(tmp_path).load(path.stem)[1]["step"] == 3
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert_same(run("epochs", Checkpoints(tmp_path)), run("epochs", None))
    finally:
        torch.set_num_threads(threads)
    assert list(tmp_path.glob(".*.tmp")) == []
