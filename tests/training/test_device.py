import platform

import pytest
import torch

from lottery_pipeline.training.device import (
    DeviceError,
    generator_states,
    keep_freed_memory,
    pick_device,
    seeded,
)


def test_the_processor_is_always_there():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device(torch.device("cpu")) == torch.device("cpu")


def test_auto_takes_the_accelerator_if_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device("auto").type == "cpu"

    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("auto").type == "mps"


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_a_device_that_is_not_there_is_named(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

    with pytest.raises(DeviceError, match=f"device '{name}' is not on this machine"):
        pick_device(name)


def test_an_index_past_the_last_device_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    assert pick_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(DeviceError, match="2 CUDA devices"):
        pick_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "meta", "xpu", ""])
def test_an_unknown_device_is_refused_with_the_choices(name):
    with pytest.raises(DeviceError, match="choose one of auto, cpu, cuda"):
        pick_device(name)


def test_freed_memory_is_kept_where_the_c_library_can(monkeypatch):
    keep_freed_memory.cache_clear()
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert keep_freed_memory() is False

    keep_freed_memory.cache_clear()
    monkeypatch.undo()
    assert keep_freed_memory() is (platform.libc_ver()[0] == "glibc")


def test_seeding_is_repeatable_and_leaves_the_generator_as_it_was():
    before = torch.get_rng_state()

    with seeded(torch.device("cpu"), 7):
        first = torch.rand(3)
        inside = generator_states(torch.device("cpu"))["cpu"]
    with seeded(torch.device("cpu"), 7):
        second = torch.rand(3)

    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(inside, before)
