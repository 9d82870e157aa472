"""Physically smaller networks: residual blocks left out, layers made narrower.

What is left keeps its name, so a tensor of the full network is found under the same name in the smaller one.
"""

from collections.abc import Iterable

from torch import nn

from lottery_pipeline.models.blocks import list_blocks
from lottery_pipeline.models.names import ModelError

Width = tuple[str, int, int]


def remove_blocks_(model: nn.Module, names: Iterable[str]) -> None:
    """Remove residual blocks from a network.

    Args:
        model: changed.
        names: of blocks with an identity shortcut (``network.layer1.3``).

    Raises:
        ModelError: there is no such block, or its shortcut is not the identity.
    """
    removable = {block.name for block in list_blocks(model) if block.removable}
    for name in names:
        if name not in removable:
            raise ModelError(
                f"{name!a} is not a residual block with an identity shortcut, so it cannot be removed"
            )
        stage, _, child = name.rpartition(".")
        # Not `del stage[i]`: that would renumber the blocks after it, and so change the names of tensors.
        model.get_submodule(stage)._modules.pop(child)
        removable.discard(name)


def narrow_layers_(model: nn.Module, widths: Iterable[Width]) -> None:
    """Replace layers by narrower ones with their own weights; afterwards the shapes must fit together.

    Args:
        model: changed.
        widths: layer name (``network.layer1.0.conv1``), channels in and out; for batch norm the two are
            equal.

    Raises:
        ModelError: there is no such layer, its kind cannot be narrowed, or it has fewer channels.
    """
    layers = dict(model.named_modules())
    for name, before, after in widths:
        layer = layers.get(name)
        if layer is None:
            raise ModelError(f"{name!a} is not a layer of the network, so it cannot be narrowed")
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, _narrow(layer, name, before, after))


def layer_widths(layer: nn.Module) -> tuple[int, int] | None:
    """Return channels in and out of a layer that can be narrowed; None for any other module.

    A subclass cannot be narrowed, since it may compute something else; a parametrised layer is one.
    """
    if type(layer) is nn.Linear:
        return layer.in_features, layer.out_features
    if type(layer) is nn.BatchNorm2d:
        return layer.num_features, layer.num_features
    if type(layer) is nn.Conv2d and layer.groups == 1:
        return layer.in_channels, layer.out_channels
    return None


def _narrow(layer: nn.Module, name: str, before: int, after: int) -> nn.Module:
    widths = layer_widths(layer)
    if widths is None:
        raise ModelError(f"{name!a} is a {type(layer).__name__}, which cannot be narrowed")
    if before > widths[0] or after > widths[1]:
        raise ModelError(f"{name!a} has {widths[0]} and {widths[1]} channels, not {before} and {after}")
    if isinstance(layer, nn.Conv2d):
        return nn.Conv2d(
            before,
            after,
            layer.kernel_size,  # type: ignore[arg-type]
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            layer.dilation,  # type: ignore[arg-type]
            bias=layer.bias is not None,
            padding_mode=layer.padding_mode,
        )
    if isinstance(layer, nn.BatchNorm2d):
        if before != after:
            raise ModelError(f"{name!a} normalises channels one by one: {before} in cannot give {after} out")
        return nn.BatchNorm2d(
            after,
            eps=layer.eps,
            momentum=layer.momentum,
            affine=layer.affine,
            track_running_stats=layer.running_mean is not None,
        )
    return nn.Linear(before, after, bias=layer.bias is not None)
