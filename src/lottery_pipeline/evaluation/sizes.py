"""The size of a SuperTicket beside the whole supernet, which is a ticket of density 1."""

from typing import Any

import torch

from lottery_pipeline.costs.macs import count_macs, theoretical_macs, total_macs
from lottery_pipeline.costs.sizes import count_parameters
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.surgery.compact import compact_ticket
from lottery_pipeline.tickets.ticket import Ticket, make_ticket
from lottery_pipeline.training.dense import DenseRun


def count_size(ticket: Ticket) -> dict[str, Any]:
    """Count what a ticket keeps of its whole supernet.

    Returns:
        ``kept`` weights, ``prunable`` (D, of the whole supernet) and ``density``, their ratio. Of one image,
        forward: ``macs_theoretical``, if every masked weight could be skipped, ``macs_executed`` and
        ``macs_dense``, of the whole supernet. ``parameters``: of the network that is executed, which lacks
        what the masks have made dead.
    """
    spec = ticket.header.spec
    shape = (spec.channels, *spec.image_size)
    # Not on ``meta``, where resizing feature maps takes torch much longer than computing them.
    whole, own = build_model(spec.restored(), seed=0), build_model(spec, seed=0)
    executed = compact_ticket(ticket).build()
    prunable = sum(weight.numel() for weight in prunable_parameters(whole, spec.ignore_layers).values())
    return {
        "kept": ticket.kept,
        "prunable": prunable,
        "density": ticket.kept / prunable,
        "macs_theoretical": theoretical_macs(count_macs(own, shape), ticket.masks),
        "macs_executed": total_macs(count_macs(executed, shape)),
        "macs_dense": total_macs(count_macs(whole, shape)),
        "parameters": count_parameters(executed),
    }


def keep_everything(dense: DenseRun) -> Ticket:
    """Return a trained dense network as a trained ticket of density 1, to be counted like any other."""
    model = build_model(dense.spec, seed=0, device="meta")
    prunable = prunable_parameters(model, dense.spec.ignore_layers)
    return make_ticket(
        method="dense",
        spec=dense.spec,
        masks={name: torch.ones(weight.shape, dtype=torch.bool) for name, weight in prunable.items()},
        state=dense.final,
        seed=dense.seed,
        rewind_step=0,
        parents={"dense": dense.fingerprint, "images": dense.images_fingerprint},
        kind="trained",
    )
