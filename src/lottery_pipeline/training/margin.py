"""A margin: chosen weights are kept from becoming small while a network trains."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors


@dataclass(frozen=True, eq=False)
class Margin:
    """The term ``strength * sum relu(floor * m - |w|)^2`` of the loss, over chosen weights w.

    m is the root mean square of the kept weights: of the layer or of all masked layers, whichever is larger.
    So a floor of 1 keeps a weight among the upper half or so, whether a later pruning ranks the weights of a
    layer or of the network. m counts as a constant in the gradient.

    Attributes:
        floors: by parameter name, in the shape of the weight; 0 for weights that are not chosen.
        strength: of the term, for a loss that is a mean over images.
    """

    floors: Mapping[str, Tensor]
    strength: float

    def record(self) -> dict[str, Any]:
        """Return what determines it, as plain JSON."""
        return {"floors": fingerprint_tensors(dict(self.floors)), "strength": self.strength}


class MarginTerm:
    """The margin of one training: adds its gradient to that of the loss.

    Args:
        margin: what is asked for.
        model: its parameters, masked already.
        masks: those of the training; a weight counts as kept where they say so.
        scale: what the loss of one batch is multiplied by, compared with a mean.
    """

    def __init__(self, margin: Margin, model: nn.Module, masks: Mapping[str, Tensor], scale: float) -> None:
        parameters = dict(model.named_parameters())
        self._strength = 2 * margin.strength * scale
        self._masked: list[Tensor] = [parameters[name] for name in masks]
        counts = [int(mask.count_nonzero()) for mask in masks.values()]
        device = self._masked[0].device
        self._counts = torch.tensor(counts, dtype=torch.float32, device=device).clamp_min(1)
        self._total = float(sum(counts))
        order = {name: place for place, name in enumerate(masks)}
        self._places = [order[name] for name in margin.floors]
        self._chosen = [parameters[name] for name in margin.floors]
        self._floors = [
            torch.empty_like(parameter).detach().copy_(floor)
            for parameter, floor in zip(self._chosen, margin.floors.values(), strict=True)
        ]

    @torch.no_grad()
    def add_gradients_(self) -> None:
        """Add the gradient of the term to those of the chosen weights; nothing here waits for the device."""
        squares = torch.stack(torch._foreach_norm(self._masked)).square()
        typical = torch.maximum(squares / self._counts, squares.sum() / self._total).sqrt()
        for place, weight, floor in zip(self._places, self._chosen, self._floors, strict=True):
            gap = torch.relu(floor * typical[place] - weight.abs())
            if weight.grad is not None:
                weight.grad.addcmul_(gap, weight.sign(), value=-self._strength)
