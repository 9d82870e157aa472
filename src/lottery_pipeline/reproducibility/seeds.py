"""Seeds: every random stream is derived from the run's one seed and a label."""

import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor


def derive_seed(seed: int, *labels: str | int) -> int:
    """Derive an independent seed, so that no two streams of one run coincide.

    Args:
        seed: the run's seed.
        labels: what the stream is for, e.g. ``("round", 3)``.

    Returns:
        An integer in [0, 2**63).
    """
    text = "/".join([str(seed), *(str(label) for label in labels)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def make_generator(seed: int, *labels: str | int, device: str | torch.device = "cpu") -> torch.Generator:
    """Make a generator seeded with ``derive_seed(seed, *labels)``."""
    return torch.Generator(device=device).manual_seed(derive_seed(seed, *labels))


@contextmanager
def seeded_draws(seed: int) -> Iterator[None]:
    """Seed all that code draws from unless told otherwise, and restore it at the end.

    These are the generators of torch on the CPU, of ``numpy.random`` and of Python's ``random``. What asks
    the system for random bits, such as ``numpy.random.default_rng()``, has no seed that could be set.

    Args:
        seed: in [0, 2**63).
    """
    numbers, python = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            seed_draws(seed)
            yield
    finally:
        np.random.set_state(numbers)  # noqa: NPY002
        random.setstate(python)


def seed_draws(seed: int) -> None:
    """Seed what ``seeded_draws`` seeds, within such a context."""
    # Not torch.manual_seed: that would also reseed every accelerator of the process.
    torch.default_generator.manual_seed(seed)
    np.random.seed([seed % 2**32, seed >> 32])  # noqa: NPY002
    random.seed(seed)


def draw_states() -> dict[str, Tensor]:
    """Return the states of the generators that ``seeded_draws`` seeds, as tensors for a checkpoint."""
    name, numbers, *position = cast(tuple[Any, ...], np.random.get_state())  # noqa: NPY002
    return {
        "cpu": torch.get_rng_state(),
        "numpy": _to_tensor([name, numbers.tolist(), *position]),
        "python": _to_tensor(random.getstate()),
    }


def set_draw_states(states: Mapping[str, Tensor]) -> None:
    """Set the generators to states from ``draw_states``; one whose state is not there stays as it is."""
    if "cpu" in states:
        torch.set_rng_state(states["cpu"])
    if "numpy" in states:
        np.random.set_state(tuple(_from_tensor(states["numpy"])))  # noqa: NPY002
    if "python" in states:
        version, numbers, gauss = _from_tensor(states["python"])
        random.setstate((version, tuple(numbers), gauss))


def _to_tensor(state: object) -> Tensor:
    return torch.frombuffer(bytearray(json.dumps(state).encode()), dtype=torch.uint8)


def _from_tensor(state: Tensor) -> list[Any]:
    return list(json.loads(state.numpy().tobytes()))
