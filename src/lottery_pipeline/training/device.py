"""Devices by name, and the random generators and switches that belong to one."""

import ctypes
import functools
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lottery_pipeline.models.memory_format import lay_out_
from lottery_pipeline.reproducibility.seeds import draw_states, seed_draws, seeded_draws, set_draw_states
from lottery_pipeline.training.arithmetic import describe_arithmetic, set_arithmetic

# Parameters of glibc's mallopt (malloc.h), and the largest sizes that are kept: 1 GiB.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _KEPT_BYTES = -1, -3, 2**30


class DeviceError(ValueError):
    """A device that is unknown or not on this machine."""


def pick_device(name: str | torch.device = "auto") -> torch.device:
    """Turn a device name into a device that works here, and set how it computes (``set_arithmetic``).

    Args:
        name: ``auto`` (cuda, else mps, else cpu), ``cpu``, ``cuda``, ``cuda:<index>`` or ``mps``.

    Raises:
        DeviceError: the name is unknown or the device is not on this machine.
    """
    set_arithmetic()
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda", "mps"):
        raise DeviceError(f"device is {str(name)!r}; choose one of auto, cpu, cuda, cuda:<index>, mps")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        index = device.index or 0
        if index >= count:
            raise DeviceError(
                f"device {str(name)!r} is not on this machine ({count} CUDA devices); use auto or cpu"
            )
        return torch.device("cuda", index)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("device 'mps' is not on this machine; use auto or cpu")
    return torch.device(device.type)


def describe_device(name: str) -> dict[str, Any]:
    """Say how the device of that name computes; see ``describe_arithmetic``."""
    return describe_arithmetic(pick_device(name))


def place_model_(model: nn.Module, device: torch.device) -> None:
    """Move a model to a device, channels last where that is faster and the model can do with it."""
    model.to(device)
    if device.type != "mps":
        lay_out_(model)


def has_bfloat16(device: torch.device) -> bool:
    """Whether this device computes bfloat16 natively, not by slow emulation."""
    return device.type != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@functools.cache
def keep_freed_memory() -> bool:
    """Tell the C library to keep freed memory for reuse, for the rest of the process.

    Otherwise glibc returns the activations of a step to the system and gets them back in the next step,
    zeroed page by page. That costs 19,000 page faults and 10-15 % of a step of ResNet-20 at batch 128. The
    peak stays the same.

    Returns:
        Whether it was done; only glibc supports it.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_TRIM_THRESHOLD, _KEPT_BYTES) and mallopt(_MMAP_THRESHOLD, _KEPT_BYTES))


@contextmanager
def fastest_convolutions(device: torch.device) -> Iterator[None]:
    """Let cuDNN time its algorithms for the one shape that a training uses; elsewhere it does not."""
    torch.backends.cudnn.benchmark = device.type == "cuda"
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = False


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Seed all that a network draws from, on the CPU and on its device, and restore it at the end."""
    with seeded_draws(seed), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def reseed(device: torch.device, seed: int) -> None:
    """Seed again what ``seeded`` has seeded, within it."""
    seed_draws(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


def generator_states(device: torch.device) -> dict[str, Tensor]:
    """Return the states of the generators that ``seeded`` has seeded."""
    states = draw_states()
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_generator_states(device: torch.device, states: Mapping[str, Tensor]) -> None:
    """Set the generators to states from ``generator_states``; states of other devices are ignored."""
    set_draw_states(states)
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
