"""Networks that cannot become tickets, whatever the method: refused when they are built, with the reason."""

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.parameter import is_lazy
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from lottery_pipeline.models.names import ModelError

_HOOKS = {
    BasePruningMethod: (
        "is pruned by torch.nn.utils.prune; call torch.nn.utils.prune.remove(layer, {tensor!r})"
    ),
    WeightNorm: (
        "has the weight norm of torch.nn.utils.weight_norm, whose weight is not a parameter; "
        "use torch.nn.utils.parametrizations.weight_norm"
    ),
    SpectralNorm: (
        "has the spectral norm of torch.nn.utils.spectral_norm, whose weight is not a parameter; "
        "use torch.nn.utils.parametrizations.spectral_norm"
    ),
}


class RefusalError(ModelError):
    """A network that no image size and no number of classes would make fit."""


def check_network(network: nn.Module, name: str) -> None:
    """Refuse a network whose weights cannot be replaced, masked and trained as those of others.

    Args:
        network: what a factory returned.
        name: of the factory.

    Raises:
        RefusalError: one sentence with the layer and what to do.
    """
    for layer, module in network.named_modules():
        fault = _find_fault(module)
        if fault:
            what = f"its layer {layer}" if layer else "it"
            raise RefusalError(f"model {name!r} cannot be used: {what} {fault}")
    for tensor, parameter in network.named_parameters():
        if parameter.dtype != torch.float32:
            raise RefusalError(
                f"model {name!r} cannot be used: its parameter {tensor} is {parameter.dtype}, not "
                "torch.float32; the precision of a training is chosen by the recipe"
            )


def check_complete(network: nn.Module, name: str) -> None:
    """Refuse a network in which a lazy layer has not got its shape in the first pass.

    Raises:
        RefusalError: one sentence with the parameter.
    """
    for tensor, parameter in network.named_parameters():
        if is_lazy(parameter):
            raise RefusalError(
                f"model {name!r} cannot be used: {tensor} belongs to a lazy layer that takes no part in the "
                "forward pass, so it has no shape; remove the layer"
            )


def _find_fault(module: nn.Module) -> str:
    """Return what is wrong with a module, as the end of a sentence; empty if nothing."""
    if isinstance(module, torch.jit.ScriptModule):
        return "is compiled by torch.jit, so its weights cannot be replaced; return the module itself"
    if isinstance(module, nn.DataParallel | DistributedDataParallel):
        return "runs copies of a network; return the network itself"
    if type(module).__name__ == "OptimizedModule":  # importing torch._dynamo takes seconds
        return "is compiled by torch.compile; return the module itself"
    if type(module).__module__.startswith(("torch.ao.nn.", "torch.ao.quantization.")):
        return f"is quantised ({type(module).__name__}); return the network before quantisation"
    for hook in module._forward_pre_hooks.values():
        for kind, fault in _HOOKS.items():
            if isinstance(hook, kind):
                tensor = getattr(hook, "_tensor_name", "weight")
                return fault.format(tensor=tensor)
    return ""
