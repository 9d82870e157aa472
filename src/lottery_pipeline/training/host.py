"""What a step may do on the host: wait for the device, draw numbers, change objects.

A wait leaves a GPU idle, and a captured step repeats nothing of all this.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lottery_pipeline.reproducibility.seeds import draw_states

# Operations that read numbers of a tensor on the host, or whose result has a size that depends on them.
_WAITING = frozenset(
    {
        "_local_scalar_dense",
        "bincount",
        "equal",
        "is_nonzero",
        "item",
        "lift_fresh",  # torch.tensor(..., device=...)
        "masked_select",
        "nonzero",
        "unique_consecutive",
        "unique_dim",
        "_unique",
        "_unique2",
    }
)
_INDEXING = frozenset({"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"})
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_OWN = f"{__name__.partition('.')[0]}."


class WaitError(RuntimeError):
    """An operation that would make the host wait for the device."""


class WaitsRefused(TorchDispatchMode):
    """A context in which no operation may make the host wait for a device, in forward and backward passes.

    On a CPU the host waits for nothing, but what would wait on a GPU is refused there too, so that it can be
    found without one. The exception is a copy from one device to the other, which is none there.

    Args:
        device_type: of the device, such as ``cuda``; operations elsewhere are not looked at.

    Raises:
        WaitError: at the first such operation.
    """

    def __init__(self, device_type: str) -> None:
        super().__init__()
        self._type = device_type

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the operation, unless it would wait."""
        kwargs = kwargs or {}
        name = func.name().partition("::")[2].partition(".")[0]
        if self._reads(name, args, kwargs) or self._moves(name, args, kwargs):
            raise WaitError(f"{func.name()} makes the host wait for the device")
        return func(*args, **kwargs)

    def _reads(self, name: str, args: Any, kwargs: Any) -> bool:
        if name in _INDEXING:
            waits = any(index.dtype in (torch.bool, torch.uint8) for index in _list_tensors(args[1]))
        elif name == "repeat_interleave":
            waits = kwargs.get("output_size") is None
        else:
            waits = name in _WAITING
        return waits and any(tensor.device.type == self._type for tensor in _list_tensors((args, kwargs)))

    def _moves(self, name: str, args: Any, kwargs: Any) -> bool:
        if name == "copy_":
            other = args[1].device
        elif name == "_to_copy" and kwargs.get("device") is not None:
            other = torch.device(kwargs["device"])
        else:
            return False
        types = {args[0].device.type, other.type}
        return len(types) == 2 and self._type in types


def _list_tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _list_tensors(part)
    elif isinstance(value, dict):
        yield from _list_tensors(list(value.values()))


def find_hook(modules: Sequence[nn.Module]) -> str:
    """Say which module has a hook, which a replay would not call; empty if none has.

    Those on parameters count, too. Hooks of this project do not: they work with nothing but tensors.
    """
    for module in modules:
        hooks = [hook for name in _HOOKS for hook in getattr(module, name).values()]
        for parameter in module.parameters(recurse=False):
            hooks += (parameter._backward_hooks or {}).values()
        if not all(str(getattr(hook, "__module__", "")).startswith(_OWN) for hook in hooks):
            return f"a hook of {type(module).__name__} would not be called"
    return ""


class HostState:
    """What a step may change on the host: generators, and attributes of the modules that it calls.

    Objects are kept, so that none of them can be taken for another that came later. Of lists, dictionaries
    and sets the members are kept too, and the numbers of tensors that are neither parameters nor buffers.
    What lies deeper is not seen.

    Args:
        modules: that the step calls.
        device_type: of the device; its own generator is not one of the host, not even on a CPU.
    """

    def __init__(self, modules: Sequence[nn.Module], device_type: str) -> None:
        self._device_type = device_type
        self._draws = self._read_draws()
        self._kept = [
            (module, {name: (value, _copy_members(value)) for name, value in vars(module).items()})
            for module in modules
        ]

    def _read_draws(self) -> dict[str, Tensor]:
        return {name: state for name, state in draw_states().items() if name != self._device_type}

    def find_change(self) -> str:
        """Say what has changed since; empty if nothing has."""
        now = self._read_draws()
        for name, state in self._draws.items():
            if not torch.equal(state, now[name]):
                return f"the step draws from the {name} generator of the host"
        for module, kept in self._kept:
            attributes = vars(module)
            for name in kept.keys() | attributes.keys():
                if (
                    name not in kept
                    or name not in attributes
                    or not _is_as_kept(kept[name], attributes[name])
                ):
                    return f"the step changes {name} of {type(module).__name__}"
        return ""

    def restore(self) -> None:
        """Give the modules the attributes that they had, as they were; generators are left alone."""
        for module, kept in self._kept:
            attributes = vars(module)
            for name in attributes.keys() - kept.keys():
                del attributes[name]
            for name, (value, members) in kept.items():
                attributes[name] = value
                if members is None or _is_as_kept((value, members), value):
                    continue
                if isinstance(value, Tensor):
                    value.data.copy_(members)
                else:
                    value.clear()
                    (value.extend if isinstance(value, list) else value.update)(members)


def _copy_members(value: Any) -> Any:
    if isinstance(value, Tensor) and value.layout == torch.strided:
        return value.detach().clone()
    return copy.copy(value) if isinstance(value, (list, dict, set)) else None


def _is_as_kept(kept: tuple[Any, Any], now: Any) -> bool:
    value, members = kept
    if members is None or value is not now:
        return _is_same(value, now)
    if isinstance(members, Tensor):
        return torch.equal(members, now)
    if len(now) != len(members):
        return False
    if isinstance(members, dict):
        return all(name in now and _is_same(old, now[name]) for name, old in members.items())
    return all(map(_is_same, members, now))


def _is_same(one: Any, other: Any) -> bool:
    plain = isinstance(one, (bool, int, float, str)) and type(one) is type(other)
    return one is other or (plain and one == other)
