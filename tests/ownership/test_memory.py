"""Signing and verifying take a few bytes for each weight of the ticket, however large a layer is."""

import platform
import subprocess
import sys

import pytest

# Bytes for each weight, beyond weights and masks, of signing and of every reading of a mark in a suspect
# whose channels have changed. Most weights are those of one layer, as in VGG.
PROGRAM = """
import re
from pathlib import Path
import torch
from lottery_pipeline.ownership.carriers import plan_groups
from lottery_pipeline.ownership.mask_code import Mark, read_mark, sign_masks
from lottery_pipeline.surgery.channels import ChannelGroup
SHAPES = {"a": (32, 3, 3, 3), "b": (64, 32, 3, 3), "c": (512, 64 * 49), "d": (64, 512), "e": (10, 64)}
NEXT = [("a", "b", 1), ("b", "c", 49), ("c", "d", 1), ("d", "e", 1)]
CHANNELS = [ChannelGroup(SHAPES[one][0], (one,), (), ((two, pixels),)) for one, two, pixels in NEXT]
def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
generator = torch.Generator().manual_seed(0)
def draw():
    return {f"{name}.weight": torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}
weights, gradients = draw(), draw()
masks = {name: torch.rand(weight.shape, generator=generator) < 0.12 for name, weight in weights.items()}
size = sum(weight.numel() for weight in weights.values())
mark = Mark(bytes(range(32)), bytes(16), plan_groups(masks, 144))
before = peak()
masks = sign_masks(masks, mark, gradients, weights).masks
signed = peak()
reference = {name: weight * masks[name] for name, weight in weights.items()}
suspect = {name: weight.flip(0) for name, weight in reference.items()}
before_reading = peak()
found = read_mark(suspect, mark, masks, reference=reference, channels=CHANNELS)
print((signed - before) / size, (peak() - before_reading) / size, found.best.matches)
"""


@pytest.mark.skipif(platform.system() != "Linux", reason="only Linux tells a process its peak")
def test_signing_and_reading_take_a_few_bytes_a_weight() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    signing, reading, matches = map(float, done.stdout.split())
    assert 0 < signing < 40
    assert 0 < reading < 60
    assert matches < 144  # so that no reading was spared
