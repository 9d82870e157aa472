"""What a device can do at best, and what a step asks of it: products, copies, kernels, bytes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_WARM_CALLS = 2
_SECONDS = 0.15  # of a measurement


def wait(device: torch.device) -> None:
    """Wait until a device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def time_call(call: Callable[[], object], device: torch.device) -> float:
    """Return the mean seconds of a call, over as many as fit into a moment."""
    for _ in range(_WARM_CALLS):
        call()
    wait(device)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < _SECONDS:
        call()
        count += 1
        wait(device)
    return (time.perf_counter() - began) / count


@contextmanager
def float32_as(form: str) -> Iterator[None]:
    """Compute convolutions and products of float32 on a card in ``ieee`` or ``tf32``."""
    backends: Any = torch.backends
    parts = (backends.cudnn.conv, backends.cuda.matmul)
    before = [part.fp32_precision for part in parts]
    try:
        for part in parts:
            part.fp32_precision = form
        yield
    finally:
        for part, old in zip(parts, before, strict=True):
            part.fp32_precision = old


def measure_products(size: int, dtype: torch.dtype, device: torch.device) -> float:
    """Return the operations per second of a product of two square matrices."""
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / time_call(lambda: left @ right, device)


def measure_copy(size: int, device: torch.device) -> float:
    """Return the bytes per second, read and written, of a copy of ``size`` bytes."""
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / time_call(lambda: target.copy_(source), device)


class Kernels:
    """Counts what runs between ``start`` and ``stop``: kernels of a card, or operations of a CPU."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        cards = [ProfilerActivity.CUDA] if device.type == "cuda" else []
        self._profile = profile(activities=[ProfilerActivity.CPU, *cards], acc_events=True)

    def start(self) -> None:
        """Begin to count."""
        wait(self._device)
        self._profile.start()
        self._began = time.perf_counter()

    def stop(self) -> dict[str, float]:
        """Return the number of kernels, and the share of the time in which one ran; not for a CPU."""
        wait(self._device)
        seconds = time.perf_counter() - self._began
        self._profile.stop()
        events = self._profile.events() or []
        if self._device.type != "cuda":
            return {"operations": sum(event.name.startswith("aten::") for event in events)}
        kernels = [
            event
            for event in events
            if event.device_type == DeviceType.CUDA and not getattr(event, "is_user_annotation", False)
        ]
        busy = sum(event.time_range.elapsed_us() for event in kernels) / 1e6
        return {"kernels": len(kernels), "busy": busy / seconds}


class Traffic(TorchDispatchMode):
    """Counts the bytes that operations would move if each read its inputs and wrote its outputs once.

    Views move nothing. A cache, or a fusion, moves less.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, and count."""
        found = func(*args, **(kwargs or {}))
        read = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        written = [leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor)]
        if not getattr(func, "is_view", False):
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in (*read, *written))
        return found
