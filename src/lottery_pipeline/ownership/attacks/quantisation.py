"""The attack that stores weights in fewer bits; the network returned holds what they decode to."""

from typing import Literal

import torch
from torch import Tensor, nn

from lottery_pipeline.ownership.attacks.training import restore_statistics
from lottery_pipeline.ownership.attacks.victim import Victim
from lottery_pipeline.ownership.errors import OwnershipError

NumberType = Literal["int8", "int4", "float16", "bfloat16"]
_LARGEST = {"int8": 127, "int4": 7}
_HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def quantise(victim: Victim, *, number_type: NumberType, per_channel: bool = False) -> nn.Module:
    """A17: round weights to fewer bits.

    Integers are symmetric, so 0 stays 0: the scale is the largest magnitude of the tensor, or of each filter,
    over 127 or 7. They replace the weights of convolutions and linear layers; batch norm is re-estimated. The
    16-bit floats replace every number of the network.

    Args:
        victim: stays as it is.
        number_type: ``int8``, ``int4``, ``float16`` or ``bfloat16``.
        per_channel: a scale for every filter; integers only.

    Raises:
        OwnershipError: the type is unknown, or floats are asked for per channel.
    """
    model = victim.build()
    quantise_(model, victim.weights(model), number_type=number_type, per_channel=per_channel)
    return restore_statistics(victim, model) if number_type in _LARGEST else model


@torch.no_grad()
def quantise_(
    model: nn.Module, weights: dict[str, nn.Parameter], *, number_type: NumberType, per_channel: bool
) -> None:
    """Round in place; see ``quantise``.

    Args:
        model: all of it is rounded to 16-bit floats.
        weights: of the model, by name; these are rounded to integers.
        number_type: the type.
        per_channel: a scale for every filter.
    """
    if number_type in _LARGEST:
        for weight in weights.values():
            weight.copy_(_round(weight, _LARGEST[number_type], per_channel))
    elif number_type in _HALVES and not per_channel:
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.to(_HALVES[number_type]))
    else:
        raise OwnershipError(
            f"number_type {number_type!r} with per_channel {per_channel} is impossible; choose int8 or int4, "
            f"or float16 or bfloat16 without per_channel"
        )


def _round(weight: Tensor, largest: int, per_channel: bool) -> Tensor:
    rows = weight.flatten(1) if per_channel else weight.reshape(1, -1)
    scale = rows.abs().amax(1, keepdim=True).double() / largest
    scale[scale == 0] = 1  # an empty filter stays empty
    return ((rows / scale).round() * scale).view(weight.shape)
