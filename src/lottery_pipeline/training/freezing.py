"""Frozen modules: parts of a network that a training leaves as they are, batch-norm statistics included."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn


@contextmanager
def frozen(model: nn.Module, modules: Sequence[str]) -> Iterator[None]:
    """Compute no gradients for some modules; ``MaskedOptimiser`` then leaves their parameters out.

    Args:
        model: its flags are restored at the end.
        modules: names, such as ``network.stem``.

    Raises:
        AttributeError: there is no such module.
    """
    inside = [parameter for name in modules for parameter in model.get_submodule(name).parameters()]
    needed = [parameter.requires_grad for parameter in inside]
    try:
        for parameter in inside:
            parameter.requires_grad = False
        yield
    finally:
        for parameter, flag in zip(inside, needed, strict=True):
            parameter.requires_grad = flag


def set_training_(model: nn.Module, modules: Sequence[str]) -> None:
    """Put a network into training mode, but its frozen modules into evaluation mode.

    There batch norm uses the statistics that it has and keeps them, and dropout does nothing.
    """
    model.train()
    for name in modules:
        model.get_submodule(name).eval()
