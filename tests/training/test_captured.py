"""Captured steps give what eager steps give; a tape stands in for the CUDA graph."""

import logging
import random
import re

import pytest
import torch

from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.training import batches as batches_module
from lottery_pipeline.training import run as run_module
from lottery_pipeline.training.loop import DivergenceError, train
from lottery_pipeline.training.margin import Margin
from lottery_pipeline.training.recipe import Recipe
from tests.training.tape import Tape, listen, record_steps, said
from tests.training.tiny import (
    TinyDenseNet,
    TinyNet,
    tiny_dense_images,
    tiny_images,
    tiny_masks,
    tiny_set,
    untimed,
)

SHORT = Recipe(epochs=3, batch_size=8, learning_rate=0.05, weight_decay=1e-3)  # 22 images: 2 full steps of 3
REPLAYS = 1 + 5  # one in the trial; the first of six full batches is an eager step


def run(recipe=SHORT, model=None, images=None, **options):
    model = TinyNet() if model is None else model
    return train(model, images or tiny_images(), recipe, **{"seed": 1, "device": "cpu", **options})


def assert_same(one, other):
    assert one.state.keys() == other.state.keys()
    for name, tensor in one.state.items():
        assert torch.equal(tensor, other.state[name]), name
    assert untimed(one.history) == untimed(other.history)
    assert one.fingerprint == other.fingerprint
    assert one.snapshots.keys() == other.snapshots.keys()
    for step, snapshot in one.snapshots.items():
        assert all(torch.equal(tensor, other.snapshots[step][name]) for name, tensor in snapshot.items())


def run_both(monkeypatch, make_model=TinyNet, **options):
    eager = run(model=make_model(), **options)
    with monkeypatch.context() as patch:
        record_steps(patch)
        captured = run(model=make_model(), **options)
    assert_same(captured, eager)
    return Tape.replays


@pytest.mark.parametrize(
    "changes",
    [
        {"snapshot_steps": [2, 4]},
        {"recipe": SHORT.replace(optimiser="nesterov", flip=True, label_smoothing=0.1, crop_padding=1)},
        {"recipe": SHORT.replace(optimiser="adam", schedule="cosine", warmup_epochs=1)},
        {"recipe": SHORT.replace(optimiser="adamw", momentum=0.0, evaluation_interval=2)},
        {"recipe": SHORT.replace(clip_norm=0.5, loss_reduction="sum", precision="bfloat16")},
        {"extra": tiny_set(5, seed=9), "extra_per_batch": 3},
        {"frozen_modules": ["conv", "norm"], "masks": None},
        {"margin": Margin({"fc.weight": torch.full((3, 36), 0.5)}, 0.1)},
        {"images": tiny_images(train=16)},
        {"recipe": SHORT.replace(adversary={"kind": "pgd", "norm": "L2", "eps": 0.5, "steps": 3})},
        {"recipe": SHORT.replace(adversary={"kind": "fgsm_rs", "eps": 0.1}, precision="bfloat16")},
    ],
    ids=[
        "snapshots",
        "nesterov",
        "adam",
        "adamw",
        "bfloat16",
        "extra",
        "frozen",
        "margin",
        "even",
        "pgd",
        "fgsm",
    ],
)
def test_captured_steps_are_eager_ones_bit_for_bit(monkeypatch, changes):
    options = {"masks": tiny_masks(TinyNet()), **changes}

    assert run_both(monkeypatch, **options) == REPLAYS


@pytest.mark.parametrize("largest_mirrored", [0, 2**28], ids=["flipped", "mirrored"])
@pytest.mark.parametrize("task", ["segmentation", "keypoints"])
def test_captured_steps_find_the_labels_of_every_task(monkeypatch, task, largest_mirrored):
    monkeypatch.setattr(batches_module, "_LARGEST_MIRRORED", largest_mirrored)
    recipe = SHORT.replace(flip=task == "segmentation", crop_padding=1)
    images = tiny_dense_images(task)  # 18: two full batches of 8, and one of 2

    assert run_both(monkeypatch, lambda: TinyDenseNet(2), images=images, recipe=recipe) == REPLAYS


def test_a_training_starts_inside_an_epoch(monkeypatch):
    assert run_both(monkeypatch, start_step=1) == REPLAYS - 1


class Killed(BaseException):
    pass


class DeadlyCheckpoints(Checkpoints):
    """Saves after every step, and dies once ``left`` saves are made."""

    def __init__(self, folder, left):
        super().__init__(folder, interval_seconds=0)
        self.left = left

    def save(self, *arguments):
        path = super().save(*arguments)
        self.left -= 1
        if self.left == 0:
            raise Killed
        return path


@pytest.mark.parametrize("dies", ["captured", "eager"])
@pytest.mark.parametrize("step", [1, 2, 4])
def test_a_captured_training_resumes_an_eager_one_and_vice_versa(monkeypatch, tmp_path, dies, step):
    monkeypatch.setattr(run_module, "_SEGMENT_SECONDS", 0.0)
    expected = run()

    with monkeypatch.context() as patch:
        if dies == "captured":
            record_steps(patch)
        with pytest.raises(Killed):
            run(checkpoints=DeadlyCheckpoints(tmp_path, step))
    with monkeypatch.context() as patch:
        if dies == "eager":
            record_steps(patch)
        resumed = run(checkpoints=Checkpoints(tmp_path))

    assert_same(resumed, expected)
    assert Tape.replays


def test_a_captured_training_diverges_at_the_step_of_an_eager_one(monkeypatch):
    wild = SHORT.replace(learning_rate=1e18)
    with pytest.raises(DivergenceError) as eager:
        run(wild)

    record_steps(monkeypatch)
    with pytest.raises(DivergenceError) as captured:
        run(wild)

    assert str(captured.value) == str(eager.value)
    assert "(step 3 of 9)" in str(eager.value)


class Counting(TinyNet):
    """Multiplies its outputs by a number that it changes."""

    def __init__(self):
        super().__init__()
        self.factor, self.seen = 1.0, []

    def forward(self, images):
        if self.training:
            self.factor *= 1.1
            self.seen.append(self.factor)
        return self.factor * super().forward(images)


class Rebinding(TinyNet):
    """Has a buffer in whose place another one comes."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.ones(()))

    def forward(self, images):
        self.scale = self.scale * 1.1
        return self.scale * super().forward(images)


class Drawing(TinyNet):
    def forward(self, images):
        return super().forward(images) * random.uniform(0.5, 1.5)


class Reading(TinyNet):
    def forward(self, images):
        logits = super().forward(images)
        return logits if logits.mean().item() > 0 else 2 * logits


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (Counting, "the step changes (factor|seen) of Counting"),
        (Rebinding, "the step changes _buffers of Rebinding"),
        (Drawing, "the step draws from the python generator of the host"),
        (Reading, "WaitError: aten::_local_scalar_dense makes the host wait for the device"),
    ],
)
def test_a_network_that_a_replay_would_not_repeat_is_trained_eagerly(monkeypatch, caplog, network, reason):
    listen(caplog)

    assert run_both(monkeypatch, network) == 0

    (line,) = [line for line in said(caplog) if "stay eager" in line][1:]
    assert re.search(reason, line)


CALLS = []  # of the network below, which no attribute tells


class Hidden(TinyNet):
    def forward(self, images):
        CALLS.append(1)
        return super().forward(images) * (1.0 if len(CALLS) % 2 else 1.5)


def test_a_replay_that_differs_from_the_step_is_noticed(monkeypatch, caplog):
    record_steps(monkeypatch)

    run(model=Hidden())

    (line,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert "a captured step does not do what the step does" in line
    assert Tape.replays == 1


class Refusing(Tape):
    def capture(self, step):
        step()
        raise RuntimeError("operation not permitted when stream is capturing")


class Breaking(Tape):
    def replay(self):
        super().replay()
        raise RuntimeError("operation not permitted when stream is capturing")


@pytest.mark.parametrize("tape", [Refusing, Breaking])
def test_a_capture_that_fails_leaves_no_trace(monkeypatch, caplog, tape):
    listen(caplog)
    expected = run()
    record_steps(monkeypatch)
    monkeypatch.setattr("lottery_pipeline.training.captured.find_graph", lambda device: tape)

    assert_same(run(), expected)
    assert said(caplog)[-1] == (
        "training: the steps stay eager: RuntimeError: operation not permitted when stream is capturing."
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"graph": False}, "the recipe says so"),
        ({"augmix": True}, "AugMix chooses its operations on the host"),
        ({"epochs": 1}, "only 3 steps are left"),
    ],
)
def test_one_line_says_why_steps_stay_eager(monkeypatch, caplog, changes, reason):
    listen(caplog)
    record_steps(monkeypatch)
    monkeypatch.setattr("lottery_pipeline.training.captured.LEAST_STEPS", 4)

    run(SHORT.replace(**changes))

    assert said(caplog) == [f"training: the steps stay eager: {reason}."]
    assert Tape.replays == 0


def test_a_training_on_a_cpu_is_eager(caplog):
    listen(caplog)
    run(SHORT.replace(epochs=1))
    assert said(caplog) == ["training: the steps stay eager: there are no graphs on cpu."]
