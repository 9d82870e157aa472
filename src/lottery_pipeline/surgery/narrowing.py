"""Networks that are narrower by some channels: their specification, and their tensors cut out bit for bit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lottery_pipeline.models.reduction import layer_widths
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.sparsity.masks import Masks
from lottery_pipeline.surgery.channels import ChannelGroup
from lottery_pipeline.tickets.blueprint import draw_blueprint
from lottery_pipeline.tickets.errors import TicketError


@dataclass(frozen=True)
class Narrowed:
    """A narrower network; its tensors are slices of the wider one's."""

    spec: ModelSpec
    state: dict[str, Tensor]
    masks: Masks


def narrow_spec(
    spec: ModelSpec, model: nn.Module, groups: Iterable[ChannelGroup], counts: Mapping[str, int]
) -> ModelSpec:
    """Return the specification with fewer channels.

    Args:
        spec: of the model; may be narrowed already.
        model: built from it, on any device.
        groups: of the model.
        counts: number of channels that stay, by name of the group; other groups stay whole.
    """
    full = {name: widths for name, module in model.named_modules() if (widths := layer_widths(module))}
    before = {name: widths[0] for name, widths in full.items()}
    after = {name: widths[1] for name, widths in full.items()}
    for group in groups:
        gone = group.size - counts.get(group.name, group.size)
        for name in (*group.outputs, *group.norms):
            after[name] -= gone
        for name in group.norms:
            before[name] -= gone
        for name, columns in group.inputs:
            before[name] -= gone * columns
    known = {name for name, _, _ in spec.narrowed}
    narrowed = tuple(
        (name, before[name], after[name])
        for name in full
        if name in known or (before[name], after[name]) != full[name]
    )
    return spec.model_copy(update={"narrowed": narrowed})


def narrow(
    spec: ModelSpec,
    state: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    kept: Mapping[str, Tensor],
    *,
    groups: Iterable[ChannelGroup],
    allow_factory: str | None = None,
) -> Narrowed:
    """Remove channels from a network, and check on the meta device that what is left fits together.

    Args:
        spec: of the network; may be reduced already.
        state: a full state dict, of any dtype; left unchanged.
        masks: bool by prunable parameter name.
        kept: bool [size] by name of the group; groups without an entry stay whole.
        groups: of the network.
        allow_factory: the trusted ``package.module:factory``, if the model is one.

    Returns:
        The smaller network; tensors are copies.

    Raises:
        TicketError: a group keeps no channel, or state and masks are not those of the network.
    """
    touched = [group for group in groups if group.name in kept]
    rows: dict[str, Tensor] = {}
    columns: dict[str, Tensor] = {}
    for group in touched:
        channels = kept[group.name].nonzero().squeeze(1)
        if kept[group.name].shape != (group.size,) or not len(channels):
            raise TicketError(f"{group.name} must keep 1 to {group.size} of its {group.size} channels")
        rows |= dict.fromkeys((*group.outputs, *group.norms), channels)
        for name, width in group.inputs:
            columns[name] = (channels[:, None] * width + torch.arange(width)).flatten()

    def cut(name: str, tensor: Tensor) -> Tensor:
        layer = name.rpartition(".")[0]
        if layer in rows and tensor.dim() > 0:  # not the counter of batch norm
            tensor = tensor[rows[layer].to(tensor.device)]
        if layer in columns and tensor.dim() > 1:
            tensor = tensor[:, columns[layer].to(tensor.device)]
        return tensor.clone()

    model = build_model(spec, seed=0, device="meta", allow_factory=allow_factory)
    counts = {group.name: int(kept[group.name].count_nonzero()) for group in touched}
    smaller = narrow_spec(spec, model, touched, counts)
    narrowed = Narrowed(
        smaller,
        {name: cut(name, tensor) for name, tensor in state.items()},
        {name: cut(name, mask) for name, mask in masks.items()},
    )
    blueprint = draw_blueprint(smaller, allow_factory)
    if {name: tuple(tensor.shape) for name, tensor in narrowed.state.items()} != {
        name: shape for name, (_, shape) in blueprint.state.items()
    } or {name: tuple(mask.shape) for name, mask in narrowed.masks.items()} != blueprint.prunable:
        raise TicketError(f"state and masks are not those of the network {spec.name} as specified")
    return narrowed
