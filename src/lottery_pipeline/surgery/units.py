"""Search units of a supernet physically removed: the smaller specification, and its tensors cut out.

A unit is a hidden channel of one kernel of a searchable block, or a token of its attention path (see
``find_units``). Nothing is renumbered: a tensor keeps its name and loses the slices of the removed units.
"""

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.supernet.architecture import BlockWidths
from lottery_pipeline.models.supernet.config import Supernet
from lottery_pipeline.models.supernet.layout import BlockLayout, lay_out
from lottery_pipeline.models.supernet.units import UnitGroup, plan_units
from lottery_pipeline.sparsity.masks import Masks
from lottery_pipeline.surgery.narrowing import Narrowed
from lottery_pipeline.tickets.blueprint import draw_blueprint
from lottery_pipeline.tickets.errors import TicketError

Keep: TypeAlias = Mapping[str, Tensor]


def keep_units(spec: ModelSpec, keep: Keep) -> ModelSpec:
    """Return the specification of a supernet that has only the kept units.

    Args:
        spec: of a supernet; may be smaller than the full one already.
        keep: bool [size] by name of the unit group; groups that are not named keep all. A group that keeps
            nothing is gone, and a block without groups is its skip path.

    Raises:
        TicketError: keep names an unknown group, or has another shape or dtype.
    """
    kept = {group.name: _kept_units(group, keep) for group in _checked_units(spec, keep)}
    architecture = []
    for block in _lay_out(spec).values():
        hidden = ((kernel, len(kept[f"{block.name}.groups.k{kernel}"])) for kernel, _ in block.hidden)
        architecture.append(
            BlockWidths(
                block=block.name,
                hidden=tuple(group for group in hidden if group[1]),
                tokens=len(kept.get(f"{block.name}.attention", ())),
            )
        )
    # The full network has one specification only, or its fingerprint would depend on how it was reached.
    full = [block.widths() for block in _lay_out(spec.restored()).values()]
    return spec.model_copy(update={"architecture": () if architecture == full else tuple(architecture)})


def slice_tensors(tensors: Mapping[str, Tensor], spec: ModelSpec, keep: Keep) -> dict[str, Tensor]:
    """Return copies of tensors without the slices of removed units.

    Args:
        tensors: by name of a parameter or buffer of the network, and of its shape: weights, masks, moments,
            averages; any subset.
        spec: of the network before the removal.
        keep: as for ``keep_units``.

    Returns:
        Copies under the same names in the same order; tensors of groups that are gone are left out.

    Raises:
        TicketError: as for ``keep_units``.
    """
    units = _checked_units(spec, keep)
    kept = {group.name: _kept_units(group, keep) for group in units}
    gone = tuple(f"{name}." for name, units_left in kept.items() if not len(units_left))
    places = {
        name: (axis, kept[group.name])
        for group in units
        if len(kept[group.name]) < group.size
        for name, axis in group.axes.items()
    }
    sliced = {}
    for name, tensor in tensors.items():
        if name.startswith(gone):
            continue
        if name in places:
            axis, indices = places[name]
            sliced[name] = tensor.index_select(axis, indices.to(tensor.device))
        else:
            sliced[name] = tensor.clone()
    return sliced


def fold_constants(
    state: Mapping[str, Tensor], spec: ModelSpec, keep: Keep, *, constants: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Return a state dict in which the constants of units to be removed are part of what stays.

    A hidden channel whose gamma is 0 still writes relu(beta). Its block's output batch norm takes it up:
    running_mean -= project[:, removed] @ relu(beta). An attention path that loses all tokens leaves what its
    last batch norm makes of zeros, which is added to the bias of the output batch norm. Both are exact in
    evaluation mode; in training mode batch statistics take up the first anyway.

    Args:
        state: a full state dict, pruned weights at 0; left unchanged.
        spec: of the network before the removal.
        keep: as for ``keep_units``.
        constants: what removed hidden channels write, [size] by name of the unit group; relu(beta) if absent.

    Returns:
        All tensors of ``state``; the output batch norms of blocks that lose units have new ones.

    Raises:
        TicketError: as for ``keep_units``.
    """
    folded = dict(state)
    for group in _checked_units(spec, keep):
        removed = ~keep.get(group.name, torch.ones(group.size, dtype=torch.bool))
        if not removed.any():
            continue
        if group.kernel:
            project = state[f"{group.name}.project.weight"].flatten(1).double()
            given = (constants or {}).get(group.name, state[f"{group.name}.depthwise_norm.bias"].relu())
            constant = torch.where(removed.to(project.device), given.double(), 0.0)
            name = f"{group.block}.output_norm.running_mean"
            folded[name] = (folded[name].double() - project @ constant).to(folded[name].dtype)
        elif removed.all():
            name = f"{group.block}.output_norm.bias"
            shift = _emit(spec, f"{group.name}.reverse_norm", state)
            folded[name] = (folded[name].double() + shift).to(folded[name].dtype)
    return folded


def compact_supernet(spec: ModelSpec, state: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> Narrowed:
    """Remove the units that masks have made dead; in evaluation mode the outputs stay the same.

    A hidden channel is dead if nothing reads it (its column of ``project`` is empty), or if it is constant:
    its depthwise filter is empty, or its row of ``expand`` is and what follows is 0, or its gamma is 0. A row
    of ``expand`` alone is not enough: zero padding makes the border of a constant map differ from its middle.
    Tokens are dead if their gamma is 0, or all together if nothing is written back.

    Args:
        spec: of a supernet; may be smaller than the full one already.
        state: a full state dict of any float dtype, masked or not; left unchanged.
        masks: bool by prunable parameter name, on the CPU.

    Returns:
        The smaller network. Its tensors are slices of the masked network's, except for output batch norms,
        which take up constants.

    Raises:
        TicketError: state and masks are not those of the network.
    """
    _check_tensors(spec, state, masks)
    masked = {
        name: tensor * masks[name].to(tensor.device) if name in masks else tensor
        for name, tensor in state.items()
    }
    keep: dict[str, Tensor] = {}
    constants: dict[str, Tensor] = {}
    for group in _checked_units(spec, keep):
        gamma = state[group.gamma].cpu()
        if group.kernel:
            keep[group.name], constants[group.name] = _find_live_channels(spec, group, masked, masks)
        else:
            reverse = masks.get(f"{group.name}.reverse.weight")
            unread = reverse is not None and not bool(reverse.any())
            keep[group.name] = torch.zeros_like(gamma, dtype=torch.bool) if unread else gamma != 0
    folded = fold_constants(masked, spec, keep, constants=constants)
    restored = {name: folded[name] if masked[name] is not folded[name] else state[name] for name in state}
    smaller = keep_units(spec, keep)
    return Narrowed(smaller, slice_tensors(restored, spec, keep), Masks(slice_tensors(masks, spec, keep)))


def _find_live_channels(
    spec: ModelSpec, group: UnitGroup, masked: Mapping[str, Tensor], masks: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return which hidden channels must stay, bool [size], and what the others write, float64 [size]."""
    has = {
        layer: masks[f"{group.name}.{layer}.weight"].flatten(1).any(axis)
        if f"{group.name}.{layer}.weight" in masks
        else torch.ones(group.size, dtype=torch.bool)
        for layer, axis in (("expand", 1), ("depthwise", 1), ("project", 0))
    }
    entering = _emit(spec, f"{group.name}.expand_norm", masked).cpu()
    silent = ~has["depthwise"] | (~has["expand"] & (entering <= 0)) | (masked[group.gamma].cpu() == 0)
    constants = _emit(spec, f"{group.name}.depthwise_norm", masked).relu()
    return has["project"] & ~silent, constants


def _emit(spec: ModelSpec, norm: str, state: Mapping[str, Tensor]) -> Tensor:
    """Return what a batch norm makes of zeros in evaluation mode: float64 [channels]."""
    scale, shift, mean, variance = (
        state[f"{norm}.{part}"].double() for part in ("weight", "bias", "running_mean", "running_var")
    )
    return shift - scale * mean / (variance + _config(spec).bn_eps).sqrt()


def _checked_units(spec: ModelSpec, keep: Keep) -> list[UnitGroup]:
    units = plan_units(_config(spec), _lay_out(spec).values())
    sizes = {group.name: group.size for group in units}
    for name, kept in keep.items():
        if name not in sizes:
            raise TicketError(f"{name!a} is not a group of search units of this network")
        if kept.dtype != torch.bool or kept.shape != (sizes[name],):
            raise TicketError(
                f"{name} has {sizes[name]} units, so keep must be as many booleans, not "
                f"{kept.dtype} {list(kept.shape)}"
            )
    return units


def _config(spec: ModelSpec) -> Supernet:
    if spec.supernet is None:
        raise TicketError(f"only a supernet has search units; the network {spec.name} has none")
    return spec.supernet


def _lay_out(spec: ModelSpec) -> dict[str, BlockLayout]:
    return lay_out(_config(spec), spec.image_size, spec.architecture)


def _kept_units(group: UnitGroup, keep: Keep) -> Tensor:
    """Return the indices of the units that stay."""
    return keep[group.name].nonzero().squeeze(1) if group.name in keep else torch.arange(group.size)


def _check_tensors(spec: ModelSpec, state: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
    blueprint = draw_blueprint(spec, None)
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    wanted = {name: shape for name, (_, shape) in blueprint.state.items()}
    if shapes != wanted or {name: tuple(mask.shape) for name, mask in masks.items()} != blueprint.prunable:
        raise TicketError(f"state and masks are not those of the network {spec.name} as specified")
