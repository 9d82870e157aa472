"""Parameters and filters: what a network consists of, counted as in the tables of papers."""

from torch import nn
from torch.nn.modules.conv import _ConvNd


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters, including biases and batch norm, but not buffers.

    A parameter that two layers share counts once.
    """
    return sum(parameters_by_layer(model).values())


def parameters_by_layer(model: nn.Module) -> dict[str, int]:
    """Return the number of trainable parameters of each module that has some of its own, in module order.

    A parameter that two layers share counts for the first. For a built-in network the keys are
    ``network.conv1``, ``network.layer1.0.bn1``, ...; the counts sum to ``count_parameters``.
    """
    counts: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            layer = name.rpartition(".")[0]
            counts[layer] = counts.get(layer, 0) + parameter.numel()
    return counts


def count_filters(model: nn.Module) -> int:
    """Return the number of filters: output channels of all convolutions, stem and 1x1 shortcuts included.

    Counted this way, ResNet-32 has 1,232 and ResNet-56 has 2,128. Jordao et al. (arXiv 2301.10835, section on
    filter pruning) quote 1,200 filters for ResNet-32 without one block of its first stage, which fits this
    count.
    """
    return sum(module.out_channels for module in model.modules() if isinstance(module, _ConvNd))


def count_bytes(model: nn.Module) -> int:
    """Return the bytes of the state dict, uncompressed: parameters and buffers, shared tensors once."""
    storages = {id(tensor): tensor for tensor in model.state_dict(keep_vars=True).values()}
    return sum(tensor.numel() * tensor.element_size() for tensor in storages.values())
