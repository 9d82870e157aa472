"""Groups of named tensors: how the parts of a training lie side by side in one checkpoint."""

from collections.abc import Mapping

import torch
from torch import Tensor

from lottery_pipeline.training.result import State


def copy_to_cpu(tensors: Mapping[str, Tensor]) -> State:
    """Return deep copies in plain row-major layout, on the CPU."""
    copies = {}
    for name, tensor in tensors.items():
        copy = torch.empty(tensor.shape, dtype=tensor.dtype, memory_format=torch.contiguous_format)
        copies[name] = copy.copy_(tensor.detach())
    return copies


def join_groups(groups: Mapping[str, Mapping[str, Tensor]]) -> State:
    """Put groups of tensors into one dictionary, as ``<group>/<name>``."""
    return {f"{group}/{name}": t for group, members in groups.items() for name, t in members.items()}


def take_group(tensors: Mapping[str, Tensor], group: str) -> State:
    """Return the tensors of one group under their own names."""
    prefix = f"{group}/"
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def take_numbered_groups(tensors: Mapping[str, Tensor], kind: str) -> dict[int, State]:
    """Return the groups ``<kind>/<number>`` by number, in ascending order."""
    numbers = {int(name.split("/")[1]) for name in tensors if name.startswith(f"{kind}/")}
    return {number: take_group(tensors, f"{kind}/{number}") for number in sorted(numbers)}


def has_shapes(tensors: Mapping[str, Tensor], wanted: Mapping[str, Mapping[str, Tensor]]) -> bool:
    """Whether all tensors of the wanted groups are there, with their shapes."""
    joined = join_groups(wanted)
    return all(name in tensors and tensors[name].shape == t.shape for name, t in joined.items())
