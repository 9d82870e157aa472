"""Channels that can only be removed together.

A channel between two layers is a filter of the first, an entry of the batch norm after it and, in every
filter of the second, the columns that read it. Inner channels are written by a single layer and read by a
single layer. They are found here without any library: in the residual blocks that ``list_blocks`` knows, and
in networks that are one chain of layers. So are the streams of residual networks, the channels that shortcuts
couple over a whole stage. In any other network coupled channels are found by torch-pruning (Fang et al.,
CVPR 2023).
"""

import importlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import nn
from torchvision.models import VGG, AlexNet, ResNet
from torchvision.models.resnet import Bottleneck

from lottery_pipeline.models.blocks import RESIDUAL_BLOCKS, list_blocks
from lottery_pipeline.models.convnet import ConvNet
from lottery_pipeline.models.lenet import LeNet300100
from lottery_pipeline.models.reduction import layer_widths
from lottery_pipeline.models.resnet import CifarResNet
from lottery_pipeline.models.supernet.units import find_units
from lottery_pipeline.models.ties import find_tied_layers
from lottery_pipeline.models.vgg import CifarVGG
from lottery_pipeline.tickets.errors import TicketError

# Every layer but the last is followed by ReLU; layers are registered in the order images pass through them.
_CHAINS = (AlexNet, CifarVGG, ConvNet, LeNet300100, VGG)
_LETTERS: dict[type[nn.Module], str] = {
    nn.Conv2d: "c",
    nn.Linear: "l",
    nn.BatchNorm2d: "b",
    nn.ReLU: "r",
    nn.Flatten: "f",
    **dict.fromkeys((nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Dropout, nn.Identity), "p"),
}
_TRANSPARENT = ("_ElementWiseOp", "_ReshapeOp")  # torch-pruning's nodes that leave channels in place
_CHAIN = re.compile(r"p*(cb?rp*)*fp*(lrp*)*l")


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that several layers share; channel i of one can only be removed with channel i of all.

    Attributes:
        size: number of channels.
        outputs: convolutions or linear layers that write them.
        norms: batch norms that scale them.
        inputs: layers that read them, and how many columns of each belong to one channel (its pixels if the
            channel was flattened; else 1).
    """

    size: int
    outputs: tuple[str, ...]
    norms: tuple[str, ...]
    inputs: tuple[tuple[str, int], ...]

    @property
    def name(self) -> str:
        """Name of the first layer that writes the channels."""
        return self.outputs[0]


def find_inner_groups(model: nn.Module) -> list[ChannelGroup]:
    """Return the groups of one writer and one reader with ReLU between them, in the order of the network.

    Args:
        model: a ``Classifier``, on any device; grouped convolutions are left out.

    Returns:
        Empty for networks of unknown structure.
    """
    widths = {name: found for name, module in model.named_modules() if (found := layer_widths(module))}
    groups = []
    for output, norm, reader in [*_block_triples(model), *_chain_triples(model)]:
        if output in widths and reader in widths and (norm is None or norm in widths):
            size, norms = widths[output][1], () if norm is None else (norm,)
            groups.append(ChannelGroup(size, (output,), norms, ((reader, widths[reader][0] // size),)))
    return _leave_out_tied(model, groups)


def find_stream_groups(model: nn.Module) -> list[ChannelGroup]:
    """Return the channels that shortcuts carry from block to block, in the order of the network.

    A stream starts at the stem or at a projection shortcut. Every block of its stage adds to it and reads it;
    the next projection, or the classifier, reads it last.

    Args:
        model: a ``Classifier``, on any device, whose network is a CIFAR ResNet or one of torchvision's.

    Returns:
        Empty for other networks.
    """
    if type(model.get_submodule("network")) not in (CifarResNet, ResNet):
        return []
    streams = [_Stream(outputs=["network.conv1"], norms=["network.bn1"], readers=[])]
    for block in list_blocks(model):
        last = 3 if isinstance(model.get_submodule(block.name), Bottleneck) else 2
        streams[-1].readers.append(f"{block.name}.conv1")
        if not block.identity:
            streams[-1].readers.append(f"{block.name}.downsample.0")
            streams.append(_Stream([f"{block.name}.downsample.0"], [f"{block.name}.downsample.1"], []))
        streams[-1].outputs.append(f"{block.name}.conv{last}")
        streams[-1].norms.append(f"{block.name}.bn{last}")
    streams[-1].readers.append("network.fc")
    widths = {name: layer_widths(module) for name, module in model.named_modules()}
    groups = []
    for stream in streams:
        written, read = [[widths[name] for name in names] for names in (stream.outputs, stream.readers)]
        if None not in (*written, *read):  # a grouped convolution has no widths
            size = written[0][1]  # type: ignore[index]
            inputs = tuple((name, 1) for name in stream.readers)
            groups.append(ChannelGroup(size, tuple(stream.outputs), tuple(stream.norms), inputs))
    return _leave_out_tied(model, groups)


def find_hidden_groups(model: nn.Module) -> list[ChannelGroup]:
    """Return the hidden channels of a supernet's kernel groups, in the order of the network.

    The depthwise filter of a channel counts as a writer: it has a row for the channel and no column.

    Args:
        model: a ``Classifier``, on any device; other networks have none.
    """
    return [
        ChannelGroup(
            size=units.size,
            outputs=(f"{units.name}.expand", f"{units.name}.depthwise"),
            norms=(f"{units.name}.expand_norm", f"{units.name}.depthwise_norm"),
            inputs=((f"{units.name}.project", 1),),
        )
        for units in find_units(model)
        if units.kernel
    ]


def find_known_groups(model: nn.Module) -> list[ChannelGroup]:
    """Return all groups of a network that are found without a library, in its order; perhaps none."""
    order = {name: place for place, (name, _) in enumerate(model.named_modules())}
    groups = [*find_inner_groups(model), *find_stream_groups(model), *find_hidden_groups(model)]
    return sorted(groups, key=lambda group: order[group.name])


class _Stream(NamedTuple):
    outputs: list[str]
    norms: list[str]
    readers: list[str]


def find_coupled_groups(model: nn.Module, image_shape: tuple[int, int, int]) -> list[ChannelGroup]:
    """Return all groups, those of whole stages included, from torch-pruning's dependency graph.

    A group is left out if its channels change their numbers on the way (concatenation), belong to layers that
    cannot be narrowed (grouped convolutions, layer norm), or are the logits.

    Args:
        model: in evaluation mode, on a device with memory.
        image_shape: channels, height, width.

    Raises:
        TicketError: torch-pruning is not installed.
    """
    try:
        pruning = importlib.import_module("torch_pruning")
    except ModuleNotFoundError as error:
        raise TicketError(
            "scope all needs torch-pruning, which is not installed; install lottery_pipeline[compact], or "
            "choose scope inner"
        ) from error
    example = next(model.parameters())
    images = torch.zeros(1, *image_shape, device=example.device, dtype=example.dtype)
    graph = pruning.DependencyGraph().build_dependency(model, example_inputs=images)
    names = {module: name for name, module in model.named_modules()}
    order = {name: place for place, name in enumerate(names.values())}
    found = [
        _translate(members, names, order)
        for members in graph.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear])
    ]
    known = _leave_out_tied(model, [group for group in found if group is not None])
    return sorted(known, key=lambda group: order[group.name])


def _leave_out_tied(model: nn.Module, groups: Iterable[ChannelGroup]) -> list[ChannelGroup]:
    """Leave out groups with a layer that shares a tensor: it cannot lose channels that the other keeps."""
    tied = find_tied_layers(model)
    return [
        group
        for group in groups
        if tied.isdisjoint((*group.outputs, *group.norms, *(name for name, _ in group.inputs)))
    ]


def _block_triples(model: nn.Module) -> Iterator[tuple[str, str | None, str]]:
    """Yield writer, batch norm and reader of the inner channels of residual blocks."""
    for name, module in model.named_modules():
        if type(module) in RESIDUAL_BLOCKS:  # not a subclass: that may compute something else
            yield f"{name}.conv1", f"{name}.bn1", f"{name}.conv2"
            if isinstance(module, Bottleneck):
                yield f"{name}.conv2", f"{name}.bn2", f"{name}.conv3"


def _chain_triples(model: nn.Module) -> Iterator[tuple[str, str | None, str]]:
    """Yield writer, batch norm and reader of the channels of a network that is one chain of layers."""
    if not _is_chain(model.get_submodule("network")):
        return
    kinds = (nn.Conv2d, nn.Linear, nn.BatchNorm2d)
    named = [(name, module) for name, module in model.named_modules() if isinstance(module, kinds)]
    norms: dict[str, str] = {}
    layers: list[str] = []
    for name, module in named:
        if isinstance(module, nn.BatchNorm2d):
            norms[layers[-1]] = name
        else:
            layers.append(name)
    for output, reader in pairwise(layers):
        yield output, norms.get(output), reader


def _is_chain(network: nn.Module) -> bool:
    if type(network) in _CHAINS:
        return True
    modules = [module for _, module in network.named_modules(remove_duplicate=False)]
    if type(network) is not nn.Sequential or len({id(module) for module in modules}) != len(modules):
        return False
    letters = [_LETTERS.get(type(module), "?") for module in modules if type(module) is not nn.Sequential]
    return _CHAIN.fullmatch("".join(letters)) is not None


def _translate(
    members: Iterable[tuple[Any, list[int]]], names: Mapping[nn.Module, str], order: Mapping[str, int]
) -> ChannelGroup | None:
    """Return one of torch-pruning's groups as ours; None if we cannot narrow it."""
    size = 0
    outputs: set[str] = set()
    norms: set[str] = set()
    inputs: dict[str, int] = {}
    for dependency, indices in members:
        target, reads = dependency.target.module, dependency.handler.__name__ == "prune_in_channels"
        size = size or len(indices)
        if target not in names:
            if type(target).__name__ not in _TRANSPARENT:
                return None
            continue
        widths = layer_widths(target)
        if widths is None or list(indices) != list(range(widths[0] if reads else widths[1])):
            return None
        if isinstance(target, nn.BatchNorm2d):
            norms.add(names[target])
        elif reads:
            inputs[names[target]] = len(indices) // size
        else:
            outputs.add(names[target])
    readers = tuple((name, inputs[name]) for name in sorted(inputs, key=order.__getitem__))
    if not readers:  # these are the logits
        return None
    ordered = [tuple(sorted(found, key=order.__getitem__)) for found in (outputs, norms)]
    return ChannelGroup(size, ordered[0], ordered[1], readers)
