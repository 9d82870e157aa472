"""A stand-in for a CUDA graph that works on any device: it records operations and repeats them.

Like a CUDA graph, a replay runs no Python of the step: the same operations read and write the same memory,
and numbers of the host are what they were while it was recorded. Unlike there, recording makes the step.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_LOGGER = "lottery_pipeline.training.captured"


class Recorder(TorchDispatchMode):
    """Keeps every operation with its arguments and results."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, list[Tensor]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, list_tensors(result)))
        return result


def list_tensors(result: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]


class Tape:
    """Records a step and replays it."""

    replays = 0  # of all tapes

    def __init__(self, device: torch.device, generators: Sequence[torch.Generator] = ()) -> None:
        self._recorder = Recorder()

    def warm_up(self, step: Callable[[], None]) -> None:
        step()

    def capture(self, step: Callable[[], None]) -> None:
        with self._recorder:
            step()

    @torch.no_grad()
    def replay(self) -> None:
        Tape.replays += 1
        for func, args, kwargs, results in self._recorder.calls:
            for old, new in zip(results, list_tensors(func(*args, **kwargs)), strict=True):
                if old.untyped_storage().data_ptr() != new.untyped_storage().data_ptr():
                    old.copy_(new)


def record_steps(monkeypatch: Any) -> None:
    """Let trainings on a CPU capture their steps on tapes, however short they are."""
    monkeypatch.setattr("lottery_pipeline.training.captured.find_graph", lambda device: Tape)
    monkeypatch.setattr("lottery_pipeline.training.captured.LEAST_STEPS", 1)
    Tape.replays = 0


def listen(caplog: Any) -> None:
    """Let ``caplog`` hear what is said of captured steps."""
    caplog.set_level(logging.DEBUG, _LOGGER)


def said(caplog: Any) -> list[str]:
    """Return what was said of captured steps."""
    return [record.message for record in caplog.records if record.name == _LOGGER]
