"""What a network outside this package is: its source, its tensors, what it computes and where it starts.

Such a network has only a name in a specification, and its code can change. So its behaviour is part of the
specification as four digests. They are the same on every machine and in every run: nothing in them depends on
the last bits of a number.

- source: the user's modules (``sources``); empty for torchvision;
- tensors: names, shapes and types of parameters and buffers, and which are one tensor under two names;
- computation: the calls of torch's functions, with shapes and arguments, while the network is built and while
  two images pass in evaluation and in training mode;
- numbers: rough sums over its first weights and logits for a seed; only where it is built with memory.
"""

import hashlib
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from lottery_pipeline.models.ties import find_ties
from lottery_pipeline.reproducibility.seeds import make_generator, seeded_draws

PARTS = ("source", "tensors", "computation", "numbers")
_LENGTH = 16
_QUANTUM = 0.05


def digest_behaviour(
    build: Callable[[], nn.Module], image_shape: tuple[int, int, int], *, meta: bool
) -> dict[str, str]:
    """Return the digests of a network that is built for this, but for that of its source.

    Args:
        build: makes the network; its draws are seeded here.
        image_shape: channels, height, width.
        meta: the network has no memory, so there are no numbers.

    Returns:
        Hexadecimal digits by part.
    """
    record = _Record()
    images = torch.rand(2, *image_shape, generator=make_generator(0, "behaviour"))
    images = images.to("meta") if meta else images
    with torch.no_grad(), seeded_draws(0), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with record:
            network = build()
        network = network.to("meta") if meta else network
        modes = {module: module.training for module in network.modules()}
        record.begin("evaluation", network.eval())
        with record:
            logits = network(images)
        first = [*network.parameters(), *network.buffers(), *tree_leaves(logits)]
        numbers = [] if meta else _sum_roughly([part for part in first if isinstance(part, Tensor)])
        for module, training in modes.items():
            module.training = training
        record.begin("training", network)
        with record:
            network(images)
    tensors = [
        f"{name} {tuple(tensor.shape)} {tensor.dtype} {tensor.requires_grad}"
        for name, tensor in [*network.named_parameters(), *network.named_buffers()]
    ]
    return {
        "tensors": _shorten("\n".join([*tensors, str(find_ties(network))])),
        "computation": record.digest(),
        "numbers": _shorten("\n".join(numbers)),
    }


def join_behaviour(digests: Mapping[str, str]) -> str:
    """Return the digests as one text for a specification."""
    return "-".join(digests[part][:_LENGTH] for part in PARTS)


def name_differences(first: str, second: str) -> str:
    """Return in words which parts of two behaviours differ; empty if none does.

    First numbers do not count: weights that are stored take their place.
    """
    pairs = zip(PARTS[:-1], first.split("-"), second.split("-"), strict=False)
    return ", ".join(part for part, one, other in pairs if one != other)


class _Record(TorchFunctionMode):
    """Notes the calls of torch's functions that give tensors: names, shapes, types and plain arguments."""

    def __init__(self) -> None:
        super().__init__()
        self._digest = hashlib.sha256()
        self._names: dict[int, str] = {}
        self._alive: list[Tensor] = []  # so that no number of theirs is used again
        self._count = 0

    def begin(self, pass_name: str, network: nn.Module) -> None:
        """Begin a pass, in which parameters and buffers have their own names."""
        self._digest.update(f"{pass_name}\n".encode())
        named = [*network.named_parameters(), *network.named_buffers()]
        self._names = {id(tensor): name for name, tensor in named}
        self._alive.clear()
        self._count = 0

    def digest(self) -> str:
        return self._digest.hexdigest()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        keywords = dict(kwargs or {})
        line = f"{_name_function(func)} {self._describe(args)} {self._describe(keywords)}"
        found = func(*args, **keywords)
        results = [leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor)]
        if results:
            self._digest.update(f"{line}\n".encode())
        for tensor in results:
            if id(tensor) not in self._names:
                self._names[id(tensor)] = f"%{self._count}"
                self._alive.append(tensor)
                self._count += 1
        return found

    def _describe(self, value: object) -> str:
        if isinstance(value, Tensor):
            if is_lazy(value):
                return "lazy"
            return f"{self._names.get(id(value), '')}{tuple(value.shape)}{value.dtype}"
        if isinstance(value, float):
            return f"{value:.9g}"
        if isinstance(value, dict):
            given = {
                key: part for key, part in value.items() if part is not None
            }  # newer torch may have more
            return ",".join(f"{key}={self._describe(part)}" for key, part in given.items())
        if isinstance(value, list | tuple):
            return f"({','.join(map(self._describe, value))})"
        if isinstance(value, bool | int | str | torch.dtype | None):
            return repr(value)
        return type(value).__name__  # devices, generators, functions


def _name_function(function: Any) -> str:
    owner = getattr(function, "__self__", None)  # x.T is a call of __get__ of a property
    return f"{getattr(owner, '__name__', '')}.{getattr(function, '__name__', type(function).__name__)}"


def _sum_roughly(tensors: Sequence[Tensor]) -> list[str]:
    """Return three sums over all values, so coarse that the last bits of the values do not matter."""
    sums = [0.0, 0.0, 0.0]
    for place, tensor in enumerate(tensors):
        flat = tensor.detach().double().flatten()
        norm = float(flat.norm()) or 1.0
        sums[0] += math.log(norm) * (1 + place % 7)
        for step in (2, 3):
            difference = float(flat[::step].sum() - flat[1::step].sum())
            sums[step - 1] += difference / norm * (1 + place % 5)
    return [f"{round(value / _QUANTUM)}" for value in sums]


def _shorten(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
