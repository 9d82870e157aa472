"""The attack that mixes two networks into one."""

import torch
from torch import nn

from lottery_pipeline.ownership.attacks.training import restore_statistics
from lottery_pipeline.ownership.attacks.victim import Victim
from lottery_pipeline.ownership.errors import OwnershipError


@torch.no_grad()
def average(victim: Victim, *, weight: float = 0.5) -> nn.Module:
    """A25: average the weights with those of another network, and re-estimate batch norm.

    A weight is 0 only where both networks have 0.

    Args:
        victim: stays as it is; ``other`` is mixed in, after ``align`` has reordered it, if there is one.
        weight: of the other network, in (0, 1).

    Raises:
        OwnershipError: there is no other ticket, it is of another network, or the weight is out of range.
    """
    if victim.other is None:
        raise OwnershipError("this attack needs other, the trained ticket that is mixed in")
    if not 0 < weight < 1:
        raise OwnershipError(f"weight must be between 0 and 1, got {weight!r}")
    model, other = victim.build(), victim.other.build().eval()
    if victim.align is not None:
        other = victim.align(other, model)
    own, mixed_in = model.state_dict(), other.state_dict()
    if {name: tensor.shape for name, tensor in own.items()} != {
        name: tensor.shape for name, tensor in mixed_in.items()
    }:
        raise OwnershipError("only tickets of the same network can be averaged")
    for name, tensor in own.items():
        if tensor.is_floating_point():
            tensor.lerp_(mixed_in[name].to(tensor), weight)
    return restore_statistics(victim, model)
