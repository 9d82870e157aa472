"""MACs: multiply-accumulates of convolutions and matrix products, forward, for one image.

Every operation of the pass is looked at, so functional calls, attention and tied weights are seen, too. A
product belongs to the weight that takes part in it; a product of activations with each other, as in
attention, belongs to no weight, and nothing of it can be pruned.

FLOPs are 2 per MAC. The work of training is counted in ``training_flops``.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrize import cached
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from lottery_pipeline.models.normalisation import normalises_by_batch
from lottery_pipeline.models.supernet.attention import TokenAttention

PRODUCTS = "products"


class MacError(ValueError):
    """A layer whose multiply-accumulates cannot be counted."""


def count_macs(model: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, int]:
    """Count the multiply-accumulates of each weight, and those of activations with each other.

    One black image goes through the model in evaluation mode, on the model's own device; on ``meta`` no
    arithmetic is done. (Two, where batch norm needs two, as it keeps no statistics; half of their
    multiply-accumulates are counted.) A weight that is used twice counts twice, a layer that never runs
    counts zero. Torch's ``flop_registry`` says what an operation costs.

    Args:
        model: left unchanged: parameters, buffers, modes.
        image_shape: channels, height, width.

    Returns:
        MACs by parameter name (``network.fc.weight``): convolution and linear layers in module order, then
        other weights; then products of activations by ``<module>.products``.

    Raises:
        MacError: a layer runs, but none of its products is seen.
    """
    layers = _name_layers(model)
    counter = _Counter(model, layers)
    example, count_images = next(model.parameters()), 1 + normalises_by_batch(model)
    with _left_as_it_was(model), counter.hooked(), sdpa_kernel(SDPBackend.MATH), cached(), torch.no_grad():
        images = torch.zeros(count_images, *image_shape, device=example.device, dtype=example.dtype)
        model.eval()
        with counter:
            model(images)
    for module, name in layers.items():
        if module in counter.run and not counter.macs[name]:
            raise MacError(
                f"the multiply-accumulates of layer {name.removesuffix('.weight')} cannot be counted: it "
                "runs, but neither as a convolution nor as a matrix product"
            )
    found = counter.macs | counter.products
    return {name: of_all // count_images for name, of_all in found.items()}


class _Counter(TorchDispatchMode):
    """Counts what each operation costs, and whose weight it uses."""

    def __init__(self, model: nn.Module, layers: Mapping[nn.Module, str]) -> None:
        super().__init__()
        self.macs = dict.fromkeys(layers.values(), 0)
        # All of an attention path of a supernet counts together, under one name that is always there.
        self.products = {
            f"{name}.{PRODUCTS}": 0
            for name, module in model.named_modules()
            if isinstance(module, TokenAttention)
        }
        self._paths = frozenset(self.products)
        self.run: set[nn.Module] = set()
        self._layers, self._layer_names, self._stack = layers, set(layers.values()), [PRODUCTS]
        self._names = {module: name for name, module in model.named_modules()}
        # The storage outlives every view of it, such as the transposed weight of a linear layer.
        self._owners = {_storage(weight): name for name, weight in reversed([*model.named_parameters()])}

    def __torch_dispatch__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        cost: Callable[..., int] | None = flop_registry.get(function._overloadpacket)
        if cost is not None:
            macs = cost(*args, **(kwargs or {}), out_val=result) // 2
            owner = self._find_owner(args)
            table, name = (self.products, self._stack[-1]) if owner is None else (self.macs, owner)
            table[name] = table.get(name, 0) + macs
        return result

    def _find_owner(self, arguments: Any) -> str | None:
        """Return the weight that takes part: that of a layer before any other; a bias has one dimension."""
        tensors = (leaf for leaf in tree_leaves(arguments) if isinstance(leaf, Tensor) and leaf.dim() > 1)
        names = [self._owners[key] for key in map(_storage, tensors) if key in self._owners]
        return next((name for name in names if name in self._layer_names), next(iter(names), None))

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Follow which module runs."""
        with ExitStack() as stack:
            for module in self._names:
                if isinstance(module, torch.jit.ScriptModule):
                    continue
                for handle in (
                    module.register_forward_pre_hook(self._enter),
                    module.register_forward_hook(self._leave, always_call=True),
                ):
                    stack.callback(handle.remove)
            yield

    def _enter(self, module: nn.Module, _inputs: Any) -> None:
        around, name = self._stack[-1], self._names[module]
        own = f"{name}.{PRODUCTS}" if name else PRODUCTS
        self._stack.append(around if around in self._paths else own)
        self.run.add(module)
        if module in self._layers and "weight" not in module._parameters:
            # A weight that is computed, by a parametrisation or a hook, is another tensor in every pass.
            weight = module.weight
            assert isinstance(weight, Tensor)  # noqa: S101 (all layers have one)
            self._owners[_storage(weight)] = self._layers[module]

    def _leave(self, _module: nn.Module, _inputs: Any, _output: Any) -> None:
        self._stack.pop()


def total_macs(macs: Mapping[str, int]) -> int:
    """Return the MACs of all layers together."""
    return sum(macs.values())


def theoretical_macs(macs: Mapping[str, int], masks: Mapping[str, Tensor]) -> int:
    """Return the MACs that remain if every pruned weight could be skipped.

    Args:
        macs: what ``count_macs`` returned.
        masks: layers without a mask count in full.

    Returns:
        Sum over layers of MACs times density, rounded per layer.
    """
    total = 0
    for name, count in macs.items():
        mask = masks.get(name)
        total += count if mask is None else round(Fraction(count * int(mask.count_nonzero()), mask.numel()))
    return total


def _name_layers(model: nn.Module) -> dict[nn.Module, str]:
    """Return the name of each layer's weight; layers that share a weight share its first name."""
    first_names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        module: first_names.get(id(module._parameters.get("weight")), f"{name}.weight")
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | _ConvNd)
    }


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


@contextmanager
def _left_as_it_was(model: nn.Module) -> Iterator[None]:
    """Restore the modes of the modules, and torch's fused attention, which hides its products."""
    modes = {module: module.training for module in model.modules()}
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for module, training in modes.items():
            module.training = training
