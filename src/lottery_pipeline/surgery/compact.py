"""Compaction: physically removing parts of a masked network without changing what it computes.

Three things are removed, over and over until nothing changes:

1. an inner channel that nothing reads any more;
2. an inner channel whose filter is empty and whose constant, after batch norm and ReLU, is 0;
3. a residual block whose branch is exactly 0, if the shortcut is the identity and the input comes from a
   ReLU, so that it is not negative: relu(0 + x) = x.

An empty filter still emits a constant; with batch norm it is beta - gamma mean / sqrt(var + eps). If that is
above 0 the channel stays: zero padding in the next layer makes the border differ from the middle, and no bias
can replace it. Readers without padding (1x1, linear) could absorb it into a bias. Their channels stay too, so
that every tensor of a compacted network is a slice of the masked network's, bit for bit. Supernets are the
exception: see ``compact_supernet``.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torchvision.models import ResNet
from torchvision.models.resnet import Bottleneck

from lottery_pipeline.models.blocks import list_blocks
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.resnet import CifarResNet
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.sparsity.masks import count_kept
from lottery_pipeline.surgery.channels import ChannelGroup, find_inner_groups
from lottery_pipeline.surgery.narrowing import Narrowed, narrow
from lottery_pipeline.surgery.units import compact_supernet
from lottery_pipeline.tickets.ticket import Ticket, make_ticket

Compacted: TypeAlias = Narrowed


def compact(
    spec: ModelSpec,
    state: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    *,
    allow_factory: str | None = None,
) -> Compacted:
    """Remove channels and blocks that the masks have made dead; in evaluation mode the outputs stay the same.

    In training mode they do not: a channel of constant 0 could have come back to life. Every layer keeps at
    least one channel, the one with the most weights.

    Args:
        spec: of the network; may be reduced already.
        state: a full state dict of any float dtype, masked or not; left unchanged.
        masks: bool by prunable parameter name, on the CPU.
        allow_factory: the trusted ``package.module:factory``, if the model is one.

    Returns:
        The smaller network and copies of its tensors; the same network if its structure is unknown (see
        ``find_inner_groups``).

    Raises:
        TicketError: state and masks are not those of the network.
    """
    if spec.supernet is not None:
        return compact_supernet(spec, state, masks)
    model = build_model(spec, seed=0, device="meta", allow_factory=allow_factory)
    groups = find_inner_groups(model)
    live = {name: mask.clone(memory_format=torch.contiguous_format) for name, mask in masks.items()}
    for group in groups:
        for layer in (group.name, group.inputs[0][0]):
            if f"{layer}.weight" not in live:  # it is never pruned
                live[f"{layer}.weight"] = torch.ones(state[f"{layer}.weight"].shape, dtype=torch.bool)
    kept = _find_live_channels(model, groups, state, live)
    blocks = _find_dead_blocks(model, state, {name: live[name] for name in masks})
    inside = tuple(f"{name}." for name in blocks)
    smaller = spec.model_copy(
        update={
            "removed_blocks": (*spec.removed_blocks, *blocks),
            "narrowed": tuple(width for width in spec.narrowed if not width[0].startswith(inside)),
        }
    )
    return narrow(
        smaller,
        {name: tensor for name, tensor in state.items() if not name.startswith(inside)},
        {name: mask for name, mask in masks.items() if not name.startswith(inside)},
        {name: channels for name, channels in kept.items() if not name.startswith(inside)},
        groups=[group for group in groups if not group.name.startswith(inside)],
        allow_factory=allow_factory,
    )


def compact_ticket(ticket: Ticket) -> Ticket:
    """Return a ticket of the compacted network; its file is smaller, its outputs are the same.

    Meant for trained tickets, which are used with the batch-norm statistics they have. Kind, seed and metrics
    stay; density and D become those of the smaller network. A ticket is returned unchanged if nothing would
    be removed or no weight would stay.

    Args:
        ticket: left unchanged; its fingerprint becomes the parent ``ticket`` of the new one.
    """
    header = ticket.header
    found = compact(header.spec, ticket.state, ticket.masks, allow_factory=ticket.allow_factory)
    if found.spec == header.spec or count_kept(found.masks) == 0:
        return ticket
    return make_ticket(
        method=header.method,
        spec=found.spec,
        masks=found.masks,
        state=found.state,
        seed=header.seed,
        rewind_step=header.rewind_step,
        steps_per_epoch=header.steps_per_epoch,
        parents={**header.parents, "ticket": ticket.fingerprint},
        kind=header.kind,
        metrics=header.metrics,
        allow_factory=ticket.allow_factory,
    )


def _find_live_channels(
    model: nn.Module, groups: Sequence[ChannelGroup], state: Mapping[str, Tensor], live: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Return bool [channels] by group; clears in ``live`` the rows and columns of dead channels."""
    written: dict[str, Tensor] = {}  # [channels, weights of a filter]
    read: dict[str, Tensor] = {}  # [filters of the reader, channels, weights]
    for group in groups:
        [(reader, _)] = group.inputs
        written[group.name] = live[f"{group.name}.weight"].view(group.size, -1)
        weight = live[f"{reader}.weight"]
        read[group.name] = weight.view(len(weight), group.size, -1)
    strength = {name: written[name].sum(1) + read[name].sum((0, 2)) for name in written}
    silent = {group.name: _constants(model, group.name, group.norms, state) <= 0 for group in groups}
    kept = {group.name: torch.ones(group.size, dtype=torch.bool) for group in groups}
    changed = True
    while changed:
        changed = False
        for name in kept:
            dead = kept[name] & ((silent[name] & ~written[name].any(1)) | ~read[name].any(2).any(0))
            if bool(dead.any()):
                kept[name] &= ~dead
                written[name][dead] = False
                read[name][:, dead] = False
                changed = True
    for name, channels in kept.items():
        if not channels.any():
            channels[strength[name].argmax()] = True
    return kept


def _find_dead_blocks(
    model: nn.Module, state: Mapping[str, Tensor], live: Mapping[str, Tensor]
) -> tuple[str, ...]:
    """Return the blocks whose branch is 0, in networks that are known to have a ReLU before each block."""
    if type(model.get_submodule("network")) not in (CifarResNet, ResNet):
        return ()
    dead = []
    for block in list_blocks(model):
        module = model.get_submodule(block.name)
        number = 3 if isinstance(module, Bottleneck) else 2
        last, norm = f"{block.name}.conv{number}", f"{block.name}.bn{number}"
        inside = {name for name in state if name.startswith(f"{block.name}.") and state[name].dim() > 1}
        # A layer that is never pruned keeps its block.
        if (
            block.removable
            and inside <= live.keys()
            and not live[f"{last}.weight"].any()
            and bool((_constants(model, last, (norm,), state) == 0).all())
        ):
            dead.append(block.name)
    return tuple(dead)


def _constants(model: nn.Module, layer: str, norms: tuple[str, ...], state: Mapping[str, Tensor]) -> Tensor:
    """Return what empty filters emit after batch norm in evaluation mode.

    Returns:
        Float64 [channels]; NaN, which compares as false, if what follows is not batch norm, or has no running
        averages.
    """
    weight = state[f"{layer}.weight"]
    constants = state.get(f"{layer}.bias", weight.new_zeros(len(weight))).double()
    for norm in norms:
        scale, shift, mean, variance = (
            state[f"{norm}.{part}"].double() if f"{norm}.{part}" in state else constants.new_tensor(absent)
            for part, absent in (
                ("weight", 1.0),
                ("bias", 0.0),
                ("running_mean", math.nan),
                ("running_var", math.nan),
            )
        )
        module = model.get_submodule(norm)
        if not isinstance(module, nn.BatchNorm2d):
            return torch.full_like(constants, math.nan)
        constants = shift + scale * (constants - mean) / (variance + module.eps).sqrt()
    return constants
