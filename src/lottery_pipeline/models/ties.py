"""Tied tensors: one tensor that a network has under several names.

Two layers may share a weight (``decoder.weight = encoder.weight``), or a whole module may be registered
twice. The first name in the order of the network, as ``named_parameters`` gives it, is the tensor's name
everywhere: in masks, states and files. Moving a network to another device makes new tensors, layer by layer,
and so unties it; ``Classifier`` ties it again.
"""

from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor, nn

from lottery_pipeline.models.names import ModelError


def find_ties(model: nn.Module) -> dict[str, str]:
    """Return the first name of each tied tensor by its further names; most networks have none."""
    first: dict[int, str] = {}
    ties = {}
    for name, tensor in _all_tensors(model):
        known = first.setdefault(id(tensor), name)
        if known != name:
            ties[name] = known
    return ties


def find_tied_layers(model: nn.Module) -> set[str]:
    """Return the names of all modules that share a tensor with another, or that have a second name."""
    return {name.rpartition(".")[0] for pair in find_ties(model).items() for name in pair}


def tie_(model: nn.Module, ties: Mapping[str, str]) -> None:
    """Put the first tensor into all places that ``find_ties`` has found."""
    for name, known in ties.items():
        layer, _, tensor = name.rpartition(".")
        source, _, original = known.rpartition(".")
        module, other = model.get_submodule(layer), model.get_submodule(source)
        if tensor in module._parameters:
            module._parameters[tensor] = other._parameters[original]
        else:
            module._buffers[tensor] = other._buffers[original]


def check_memory(model: nn.Module) -> None:
    """Refuse parameters that lie over the memory of other tensors: training would write to both at once.

    Raises:
        ModelError: there are such parameters; one sentence with their names.
    """
    spans = []
    for name, tensor in {id(tensor): (name, tensor) for name, tensor in _all_tensors(model)}.values():
        reach = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
        if tensor.numel() == 0 or tensor.is_meta:
            continue
        parameter = isinstance(tensor, nn.Parameter)
        if parameter and any(
            size > 1 and not step for size, step in zip(tensor.shape, tensor.stride(), strict=True)
        ):
            raise ModelError(f"{name} has several weights in one place of memory; clone() it after expand()")
        start = tensor.data_ptr()
        spans.append((start, start + (reach + 1) * tensor.element_size(), name, parameter))
    for (_, end, name, one), (start, _, other, two) in pairwise(sorted(spans)):
        if start < end and (one or two):
            raise ModelError(
                f"{name} and {other} are two tensors over one memory; share one parameter "
                "(b.weight = a.weight), or copy it with clone()"
            )


def _all_tensors(model: nn.Module) -> list[tuple[str, Tensor]]:
    return [
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ]
