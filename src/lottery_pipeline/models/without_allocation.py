"""Building a network without allocating its memory: parameters are made on the ``meta`` device."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_ALLOCATIONS = frozenset({torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn})


class WithoutAllocation(TorchFunctionMode):
    """Inside this context tensors of a given shape are made on ``meta``: shapes without memory.

    Unlike ``torch.device("meta")`` it leaves ``torch.tensor`` and ``torch.arange`` alone: some torchvision
    constructors (RegNet) compute their widths with them. The caller must move those small tensors.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Add the device to calls that allocate and do not name one."""
        keywords = dict(kwargs or {})
        if func in _ALLOCATIONS and keywords.get("device") is None:
            keywords["device"] = "meta"
        return func(*args, **keywords)
