"""What the model of a ticket looks like, found on the meta device before any memory is taken."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lottery_pipeline.models.names import is_factory
from lottery_pipeline.models.prunable import check_ignore_layers, prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.tensor_file import MAX_ELEMENTS, Entry

HALF_FLOATS = (torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Blueprint:
    """Shapes and dtypes of a model.

    Attributes:
        prunable: shapes of the prunable weights, in model order.
        state: dtype and shape of every tensor of the state dict.
    """

    prunable: dict[str, tuple[int, ...]]
    state: dict[str, tuple[torch.dtype, tuple[int, ...]]]

    def check_state(self, name: str, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
        """Compare one state tensor with the model; 16-bit floats may stand in for wider ones."""
        wanted = self.state[name][1]
        self.check_dtype(name, dtype)
        if shape != wanted:
            raise TicketError(f"{name} has shape {list(shape)}, but the model has {list(wanted)}")
        if math.prod(shape) > MAX_ELEMENTS:
            raise TicketError(f"{name} has more than {MAX_ELEMENTS} elements")

    def check_dtype(self, name: str, dtype: torch.dtype) -> None:
        """Compare the dtype of one tensor with the model."""
        wanted = self.state[name][0]
        if dtype != wanted and not (wanted.is_floating_point and dtype in HALF_FLOATS):
            raise TicketError(f"{name} is {dtype}, but the model has {wanted}")


def draw_blueprint(spec: ModelSpec, allow_factory: str | None) -> Blueprint:
    """Build the model of ``spec`` on the meta device and note its shapes; allocates nothing.

    Raises:
        TicketError: the model is not on the allow-list or cannot be built.
    """
    if is_factory(spec.name) and spec.name != allow_factory:
        raise TicketError(
            f"its model {spec.name!a} is code outside this package; name it as allow_factory if you trust it"
        )
    try:
        model = build_model(spec, seed=0, device="meta", allow_factory=allow_factory)
        prunable = prunable_parameters(model, spec.ignore_layers)
        if spec.supernet is None and not spec.removed_blocks:  # a network without parts may lack such a layer
            check_ignore_layers(model, spec.ignore_layers)
    except Exception as error:  # a factory may raise anything
        raise TicketError(f"its model {spec.name!a} cannot be built: {str(error)[:300]}") from error
    return Blueprint(
        prunable={name: tuple(parameter.shape) for name, parameter in prunable.items()},
        state={name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in model.state_dict().items()},
    )


def check_entries(found: Mapping[str, Entry], wanted: set[str]) -> None:
    """Compare the names of the tensors in a file with those the model needs."""
    missing, extra = sorted(wanted - set(found)), sorted(set(found) - wanted)
    if missing:
        raise TicketError(f"tensor {missing[0]} is missing ({len(missing)} in all)")
    if extra:
        raise TicketError(f"tensor {extra[0]} does not belong to the model ({len(extra)} in all)")


def check_values(name: str, tensor: Tensor) -> None:
    """Refuse values no training can give: non-finite numbers, negative variances."""
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise TicketError(f"{name} holds a value that is not finite")
    if name.endswith("running_var") and bool((tensor < 0).any()):
        raise TicketError(f"{name} holds a negative variance")
