"""Captured steps: a step over static tensors, recorded once and then replayed, which costs one launch.

A small network is launch-bound on a GPU: a step of ResNet-20 is some 200 kernels, and the host needs longer
to launch them than the card to run them. A replay of a CUDA graph launches them all at once. It repeats
kernels and addresses, not Python. So all that differs between steps lies in tensors that stay where they are:

- ``place``, the number of the batch in its epoch; a step looks its images up by it, and adds 1 to it,
- ``rates``, the learning rates of the epoch, and ``numbers``, what every step of the epoch has measured,
- weights, buffers, moments and counts, which the step changes in place; random generators are known to the
  graph.

Before that a step is tried. (1) No module may have hooks. The step is made once while every operation that
would wait for the device is refused, and afterwards the host's generators and the attributes of all modules
must be what they were: a replay would call and change none of them. (2) It is captured. (3) From one saved
state it is replayed once and made twice as usual; the results must agree. The state is saved before and
restored after each of these, so in the end exactly one step has been made, as usual. Whatever speaks against
capturing is logged in one debug line, and the steps stay eager. Only a replay that differs
from the step is worth a warning.

The last, smaller batch of an epoch is always an eager step.
"""

import logging
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from lottery_pipeline.training.agreement import Tensors, find_disagreement
from lottery_pipeline.training.device import generator_states, set_generator_states
from lottery_pipeline.training.graph import Graph, GraphMaker, find_graph
from lottery_pipeline.training.host import HostState, WaitsRefused, find_hook

logger = logging.getLogger(__name__)

# Trying a step costs as much as ten: it does not pay in a training of fewer than this.
LEAST_STEPS = 100
_WARM_UPS = 2

B = TypeVar("B", bound="Body")


class CaptureError(RuntimeError):
    """A step that a replay would not repeat."""


class Body(Protocol):
    """A step whose only arguments are tensors, and which keeps to the device."""

    def __call__(self, index: Tensor, rate: Tensor) -> Tensor:
        """Make the step for batch ``index``, [1], at a scalar rate; return what it measured, [columns]."""
        ...

    def state(self) -> Tensors:
        """Return all tensors that a step changes in place, by kind."""
        ...

    def modules(self) -> Sequence[nn.Module]:
        """Return the modules that a step calls."""
        ...

    def forget(self) -> None:
        """Forget what steps have added up beside the state."""
        ...


class CapturedSteps(Generic[B]):
    """The steps of one training or search, captured where that is possible.

    Args:
        body: the step.
        rates: learning rate of every step of the training.
        steps_per_epoch: batches in an epoch, the last smaller one included.
        full_steps: batches of full size in an epoch.
        columns: of what a step measures.
        device: where all this happens.
        make_graph: what to capture with.
        generators: the body draws from them, besides the default ones.
        label: of the training.

    Attributes:
        pending: steps whose numbers have not been read.
    """

    def __init__(
        self,
        body: B,
        rates: Sequence[float],
        *,
        steps_per_epoch: int,
        full_steps: int,
        columns: int,
        device: torch.device,
        make_graph: GraphMaker,
        generators: Sequence[torch.Generator] = (),
        label: str,
    ) -> None:
        self.body, self._all_rates, self._label = body, rates, label
        self._steps_per_epoch, self._full_steps = steps_per_epoch, full_steps
        self._device, self._make_graph, self._generators = device, make_graph, generators
        self._place = torch.zeros(1, dtype=torch.int64, device=device)
        # CUDA's optimisers read a rate in float32. What a step measures may be float32 or float64.
        kind = torch.float32 if device.type == "cuda" else torch.float64
        self._rates = torch.zeros(steps_per_epoch, dtype=kind, device=device)
        self._numbers = torch.zeros((steps_per_epoch, columns), dtype=torch.float64, device=device)
        self._graph: Graph | None = None
        self._is_eager = False
        self._epoch, self._next = -1, -1  # what rates and place say
        self.pending = 0

    def take(self, number: int) -> bool:
        """Make step ``number``, counted from 0, if it can be a captured one; return whether it was made."""
        epoch, index = divmod(number, self._steps_per_epoch)
        if self._is_eager or index >= self._full_steps:
            return False
        self._aim(epoch, index)
        if self._graph is not None:
            self._graph.replay()
        elif not self._try_step(number):
            self._is_eager = True
            return False
        self._next, self.pending = index + 1, self.pending + 1
        return True

    def read(self) -> Tensor:
        """Return what steps have measured since the last call: float64 [steps, columns], on the device."""
        rows = self._numbers[self._next - self.pending : self._next] if self.pending else self._numbers[:0]
        self.pending = 0
        return rows.clone()

    def _aim(self, epoch: int, index: int) -> None:
        if epoch != self._epoch:
            first = epoch * self._steps_per_epoch
            rates = torch.tensor(self._all_rates[first : first + self._steps_per_epoch], dtype=torch.float64)
            self._rates[: len(rates)].copy_(rates)
            self._epoch = epoch
        if index != self._next:
            self._place.fill_(index)

    def _make_step(self) -> None:
        rate = self._rates.index_select(0, self._place).squeeze(0)
        measured = self.body(self._place, rate)
        self._numbers.index_copy_(0, self._place, measured.to(self._numbers.dtype)[None])
        self._place.add_(1)

    def _try_step(self, number: int) -> bool:
        """Capture the step and make it, as the module says; return whether both was possible."""
        left = len(self._all_rates) - number
        if left < LEAST_STEPS:
            return self._stay_eager(f"only {left} steps are left")
        state = {**self.body.state(), "numbers": [self._numbers], "place": [self._place]}
        start = _Start(state, self.body, self._device, self._generators)
        host = HostState(self.body.modules(), self._device.type)
        try:
            graph = self._record(start, host)
            fault = self._compare(graph, start)
        except Exception as error:  # whatever a network raises; if it is a fault, an eager step has it too
            start.restore()
            host.restore()
            return self._stay_eager(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
        if fault:
            logger.warning(
                "%s: a captured step does not do what the step does (%s), so the steps stay eager, which is "
                "slower; recipe `graph: false` avoids this test.",
                self._label,
                fault,
            )
            start.restore()
            return False
        self._graph = graph
        logger.debug("%s: the step is captured.", self._label)
        return True

    def _record(self, start: "_Start", host: HostState) -> Graph:
        if hook := find_hook(self.body.modules()):
            raise CaptureError(hook)
        with WaitsRefused(self._device.type):
            self._make_step()
        if change := host.find_change():
            raise CaptureError(change)
        graph = self._make_graph(self._device, self._generators)
        for _ in range(_WARM_UPS):
            start.restore()
            graph.warm_up(self._make_step)
        start.restore()
        graph.capture(self._make_step)
        return graph

    def _compare(self, graph: Graph, start: "_Start") -> str:
        """Say in what a replay differs from the step; empty if in nothing. The step is made afterwards."""
        start.restore()
        graph.replay()
        replayed = start.copy()
        start.restore()
        self._make_step()
        once = start.copy()
        start.restore()
        self._make_step()
        return find_disagreement(start.tensors, replayed, once, start.copy())

    def _stay_eager(self, reason: str) -> bool:
        logger.debug("%s: the steps stay eager: %s.", self._label, reason)
        return False


def round_rates(rates: list[float], device: torch.device) -> list[float]:
    """Return learning rates as all steps on a device use them.

    CUDA's fused optimisers read a rate that is a tensor in float32, but one that is a number in float64.
    Rounded to float32, captured and eager steps are the same there.
    """
    return torch.tensor(rates, dtype=torch.float32).tolist() if device.type == "cuda" else rates


def choose_graph(wanted: object, device: torch.device, obstacle: str, label: str) -> GraphMaker | None:
    """Return what to capture steps with; None, and a debug line, if they are to be eager.

    Args:
        wanted: ``graph`` of the recipe.
        device: where the steps are made.
        obstacle: what speaks against it; empty if nothing does.
        label: of the training.
    """
    maker = find_graph(device)
    if not wanted:
        obstacle = "the recipe says so"
    elif maker is None:
        obstacle = f"there are no graphs on {device.type}"
    if obstacle:
        logger.debug("%s: the steps stay eager: %s.", label, obstacle)
        return None
    return maker


class _Start:
    """A state to which a step can be put back: tensors, counts and generators."""

    def __init__(
        self, state: Tensors, body: Body, device: torch.device, generators: Sequence[torch.Generator]
    ) -> None:
        self._state, self._body, self._device = state, body, device
        self._generators = [(generator, generator.get_state()) for generator in generators]
        self._draws = generator_states(device)
        self.tensors = self.copy()

    def copy(self) -> dict[str, list[Tensor]]:
        """Return copies of the tensors as they are now."""
        return {kind: [t.detach().clone() for t in tensors] for kind, tensors in self._state.items()}

    @torch.no_grad()
    def restore(self) -> None:
        """Put everything back, in place; gradients that a broken step has left are dropped."""
        for kind, tensors in self._state.items():
            for tensor, old in zip(tensors, self.tensors[kind], strict=True):
                tensor.copy_(old)
                if tensor.is_leaf:
                    tensor.grad = None
        self._body.forget()
        for generator, old in self._generators:
            generator.set_state(old)
        set_generator_states(self._device, self._draws)
