"""The cost profile of a ticket: arithmetic, parameters and bytes beside those of the full network.

Three kinds of numbers that are never merged: *dense* is the full network; *executed* is what the ticket's
network runs (a mask saves nothing, a removed block saves all of itself); *theoretical* is what it would run
if every pruned weight could be skipped. The real time of a pass is measured (``latency``), not computed.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from lottery_pipeline.costs.macs import count_macs, theoretical_macs, total_macs
from lottery_pipeline.costs.sizes import count_bytes, count_filters, count_parameters
from lottery_pipeline.sparsity.masks import check_masks


def profile_costs(
    dense: nn.Module, ticket: nn.Module, masks: Mapping[str, Tensor], image_shape: tuple[int, int, int]
) -> dict[str, Any]:
    """Return what a ticket costs.

    Global density is not the ratio of MACs: layers differ in MACs per weight, hence the table by layer.

    Args:
        dense: the full network; on ``meta`` no arithmetic is done.
        ticket: the network of the ticket, physically smaller or the same.
        masks: bool, of the ticket's network; layers without one count in full.
        image_shape: channels, height, width.

    Returns:
        Of one image, forward: ``macs_dense``, ``macs_theoretical``, ``macs_executed`` (multiply-adds of
        convolutions and linear layers) and ``flops_*``, 2 per MAC. ``parameters_dense``,
        ``parameters_executed`` (trainable) and ``parameters_kept`` (of these, not masked); ``filters_*``;
        ``bytes_*`` of the state dict, uncompressed. ``layers``: a row for each layer of the full network with
        ``layer``, ``macs_dense``, ``macs`` (executed), ``density`` and ``macs_theoretical``; a removed layer
        has zeros.

    Raises:
        MaskError: a mask fits no weight of the ticket's network.
    """
    check_masks(masks, {name: weight for name, weight in ticket.named_parameters() if name in masks})
    full, own = count_macs(dense, image_shape), count_macs(ticket, image_shape)
    macs = {
        "dense": total_macs(full),
        "theoretical": theoretical_macs(own, masks),
        "executed": total_macs(own),
    }
    parameters = count_parameters(ticket)
    pruned = sum(mask.numel() - int(mask.count_nonzero()) for mask in masks.values())
    return {
        **{f"macs_{kind}": count for kind, count in macs.items()},
        **{f"flops_{kind}": 2 * count for kind, count in macs.items()},
        "parameters_dense": count_parameters(dense),
        "parameters_executed": parameters,
        "parameters_kept": parameters - pruned,
        "filters_dense": count_filters(dense),
        "filters_executed": count_filters(ticket),
        "bytes_dense": count_bytes(dense),
        "bytes_executed": count_bytes(ticket),
        "layers": [_layer_row(name, count, own, masks) for name, count in full.items()],
    }


def _layer_row(
    name: str, macs_dense: int, own: Mapping[str, int], masks: Mapping[str, Tensor]
) -> dict[str, Any]:
    macs, mask = own.get(name, 0), masks.get(name)
    kept = 1.0 if mask is None else int(mask.count_nonzero()) / mask.numel()
    return {
        "layer": name,
        "macs_dense": macs_dense,
        "macs": macs,
        "density": kept if name in own else 0.0,
        "macs_theoretical": theoretical_macs({name: macs}, masks),
    }
