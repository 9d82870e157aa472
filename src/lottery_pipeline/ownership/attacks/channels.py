"""Channels of a built network: which layers share them, and new channels made of old ones.

Everything is done in place to a network of the attacker's own; layers may grow.
"""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from lottery_pipeline.models.classifier import Classifier
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.surgery.channels import ChannelGroup, find_inner_groups, find_stream_groups

Scope = Literal["inner", "all"]
Layer = nn.Conv2d | nn.Linear


def known_groups(model: Classifier, scope: Scope) -> list[ChannelGroup]:
    """Return the groups of channels of a network, in the order of the network.

    Args:
        model: a built ticket.
        scope: ``inner`` channels have one writer and one reader; ``all`` adds the streams of residual
            networks, whose channels many layers share.

    Raises:
        OwnershipError: the structure of the network is unknown.
    """
    groups = find_inner_groups(model) + (find_stream_groups(model) if scope == "all" else [])
    if not groups:
        raise OwnershipError(
            f"the channels of {type(model.network).__name__} are unknown, so this attack cannot change them"
        )
    return groups


def writers(model: nn.Module, group: ChannelGroup) -> Iterator[tuple[Layer, nn.BatchNorm2d | None]]:
    """Yield the layers that write the channels of a group, each with the batch norm after it.

    Raises:
        OwnershipError: a batch norm keeps no running statistics or has no scale.
    """
    for output, norm in zip(group.outputs, group.norms or (None,) * len(group.outputs), strict=True):
        layer = model.get_submodule(output)
        assert isinstance(layer, Layer)  # noqa: S101 (nothing else has widths)
        if norm is None:
            yield layer, None
            continue
        scaling = model.get_submodule(norm)
        if not isinstance(scaling, nn.BatchNorm2d) or not (scaling.affine and scaling.track_running_stats):
            raise OwnershipError(f"this attack needs running statistics and a scale in the batch norm {norm}")
        yield layer, scaling


@torch.no_grad()
def choose_channels_(model: nn.Module, group: ChannelGroup, index: Tensor, factors: Tensor) -> None:
    """Make new channels of a group: channel i becomes a copy of the old channel ``index[i]``.

    The readers multiply it by ``factors[i]``. With factors of 1 no weight is rounded. Indices may repeat, and
    there may be more of them than channels.

    Args:
        model: changed.
        group: of the network as it is.
        index: int64 [new size].
        factors: [new size].
    """
    count = len(index)
    for layer, norm in writers(model, group):
        layer.weight = nn.Parameter(layer.weight[index])
        if layer.bias is not None:
            layer.bias = nn.Parameter(layer.bias[index])
        _set_width(layer, "out", count)
        if norm is not None:
            norm.weight, norm.bias = nn.Parameter(norm.weight[index]), nn.Parameter(norm.bias[index])
            norm.running_mean, norm.running_var = norm.running_mean[index], norm.running_var[index]  # type: ignore[index]
            norm.num_features = count
    for layer, columns in _readers(model, group):
        spread = factors.double().view(1, -1, *[1] * (columns.dim() - 2))
        weight = columns[:, index].double() * spread
        layer.weight = nn.Parameter(weight.flatten(1, 2).to(columns.dtype))
        _set_width(layer, "in", layer.weight.shape[1])


@torch.no_grad()
def scale_rows_(tensor: Tensor, factors: Tensor) -> None:
    """Multiply row i of a tensor, which belongs to channel i, by ``factors[i]``, in float64."""
    tensor.copy_(tensor.double() * factors.view(-1, *[1] * (tensor.dim() - 1)))


def _readers(model: nn.Module, group: ChannelGroup) -> Iterator[tuple[Layer, Tensor]]:
    """Yield the layers that read a group, with their weights as [out, channels, pixels, ...]."""
    for name, pixels in group.inputs:
        layer = model.get_submodule(name)
        assert isinstance(layer, Layer)  # noqa: S101 (nothing else has widths)
        weight = layer.weight.detach()
        yield layer, weight.unflatten(1, (weight.shape[1] // pixels, pixels))


def _set_width(layer: Layer, side: Literal["in", "out"], width: int) -> None:
    setattr(layer, f"{side}_channels" if isinstance(layer, nn.Conv2d) else f"{side}_features", width)
