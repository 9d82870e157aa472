"""A network whose prunable weights are replaced in every forward pass; its own weights stay fixed.

What is learnt lies in flat vectors over all prunable weights, in layer order, and in C order inside a layer.
Ties are broken in the same order.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from lottery_pipeline.models.prunable import PREFIX, prunable_parameters
from lottery_pipeline.training.batches import split_normalisation
from lottery_pipeline.training.evaluation import autocast
from lottery_pipeline.training.recipe import Precision


class GatedNetwork:
    """The frozen network of a mask search.

    Attributes:
        shapes: of the prunable weights, by parameter name.
        weights: theta, float32 [D]; a copy, on the model's device.
        others: every other parameter by its name inside the network, detached.
        normalise: the input normalisation, which the batches apply; None if the network applies it.

    Args:
        model: what ``build_model`` returned; the caller sets its modes.
        ignore_layers: layers that are never pruned.
        precision: that of the network's arithmetic; logits are float32.
        affine: whether batch norm uses its weight and bias, or 1 and 0 instead.
    """

    def __init__(
        self,
        model: nn.Module,
        ignore_layers: tuple[str, ...] = (),
        precision: Precision = "float32",
        *,
        affine: bool = True,
    ) -> None:
        self._network, self.normalise = split_normalisation(model)
        self._prefix = "" if self._network is model else PREFIX
        self._precision = precision
        prunable = prunable_parameters(model, ignore_layers)
        self.shapes = {name: weight.shape for name, weight in prunable.items()}
        self._sizes = [weight.numel() for weight in prunable.values()]
        self.weights = torch.cat([weight.detach().reshape(-1) for weight in prunable.values()])
        inside = {name.removeprefix(self._prefix) for name in prunable}
        parameters = dict(self._network.named_parameters())
        self.others = {name: p.detach() for name, p in parameters.items() if name not in inside}
        names = {id(parameter): name for name, parameter in parameters.items()}
        for module in self._network.modules():
            if isinstance(module, _BatchNorm) and module.affine and not affine:
                self.others[names[id(module.weight)]] = torch.ones_like(module.weight).detach()
                self.others[names[id(module.bias)]] = torch.zeros_like(module.bias).detach()

    def __call__(self, inputs: Tensor, weights: Tensor, others: Mapping[str, Tensor] | None = None) -> Tensor:
        """Return logits [N, classes], float32.

        Args:
            inputs: as the network expects them: normalised if ``normalise`` is not None.
            weights: flat prunable weights [D] to compute with.
            others: the other parameters, if not ``self.others``.
        """
        parts = {name.removeprefix(self._prefix): part for name, part in self.split(weights).items()}
        with autocast(weights.device, self._precision):
            logits: Tensor = functional_call(
                self._network, {**(self.others if others is None else others), **parts}, (inputs,)
            )
        return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits

    def modules(self) -> list[nn.Module]:
        """Return the modules that a forward pass calls."""
        return list(self._network.modules())

    def split(self, flat: Tensor) -> dict[str, Tensor]:
        """Cut a flat vector [D] into views of the layers' shapes, by parameter name."""
        parts = flat.split(self._sizes)
        return {
            name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }
