"""CUDA graphs: a step that is captured once and replayed. All lines that only CUDA runs are here.

A replay launches the same kernels on the same memory, so whatever the host did while the step was captured
stays as it was then. ``lottery_pipeline.training.captured`` makes sure that nothing of it matters.
"""

import gc
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import torch


class Graph(Protocol):
    """Something that can be captured and replayed."""

    def warm_up(self, step: Callable[[], None]) -> None:
        """Make a step where it will be captured, so that everything is set up that needs to be."""
        ...

    def capture(self, step: Callable[[], None]) -> None:
        """Record a step without making it."""
        ...

    def replay(self) -> None:
        """Make the recorded step; does not wait."""
        ...


# Of the memory of a card. A graph keeps what its step needs, and a step that large is not launch-bound.
_LARGEST_SHARE = 0.25
_ONE_AT_A_TIME = threading.Lock()  # torch allows a single capture in a process
GraphMaker = Callable[[torch.device, Sequence[torch.Generator]], Graph]


class CudaGraph:
    """A CUDA graph of one step, on a stream of its own, with its own memory.

    Args:
        device: a CUDA device.
        generators: the step draws from them, besides the default generator of the device, which torch knows.
            A replay continues from their state, as a step does.
    """

    def __init__(self, device: torch.device, generators: Sequence[torch.Generator] = ()) -> None:
        self._device, self._generators = device, generators
        self._most = _LARGEST_SHARE * torch.cuda.get_device_properties(device).total_memory
        self._stream = torch.cuda.Stream(device)
        self._graph = torch.cuda.CUDAGraph()
        for generator in generators:
            self._graph.register_generator_state(generator)

    def warm_up(self, step: Callable[[], None]) -> None:
        """Make a step on the graph's stream: cuDNN chooses its algorithms, libraries take their memory."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            step()
        current.wait_stream(self._stream)

    def capture(self, step: Callable[[], None]) -> None:
        """Record a step without making it.

        Raises:
            RuntimeError: torch or CUDA cannot capture it, or it needs a large share of the memory; the device
                can be used as before.
        """
        gc.collect()  # a graph that is freed during a capture would spoil it
        try:
            # The outer context restores the stream if the inner one cannot leave. Other threads may train on
            # streams of their own meanwhile, hence "thread_local".
            with (
                _ONE_AT_A_TIME,
                torch.cuda.device(self._device),
                torch.cuda.stream(self._stream),
                torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"),
            ):
                before = torch.cuda.memory_reserved(self._device)
                step()
                needed = torch.cuda.memory_reserved(self._device) - before
                if needed > self._most:
                    raise RuntimeError(f"a graph of it keeps {needed} bytes of the device's memory")
        except BaseException:
            self._release_generators()
            raise

    def replay(self) -> None:
        """Make the recorded step on the current stream."""
        with torch.cuda.device(self._device):
            self._graph.replay()

    def _release_generators(self) -> None:
        """Give the generators states that no capture holds: after a failed one, torch may refuse to draw."""
        for generator in (torch.cuda.default_generators[self._device.index], *self._generators):
            generator.graphsafe_set_state(generator.clone_state())


def find_graph(device: torch.device) -> GraphMaker | None:
    """Return how graphs are made for a device; None if it has none."""
    return CudaGraph if device.type == "cuda" else None
