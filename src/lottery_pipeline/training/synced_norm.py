"""Batch norm over the images of all processes: what one process would compute for the whole batch.

torch's own ``SyncBatchNorm`` refuses a CPU, and has to be put into the network. Here batch norm is replaced
while the steps of a shared training run, wherever the network calls it; its modules, their names and their
state stay as they are. Mean and variance are of all images; the backward pass, which can itself be
differentiated, adds up over all processes, too.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lottery_pipeline.training.parallel import Team, find_team
from lottery_pipeline.training.reductions import add_up_for_parts


def synced_norms() -> AbstractContextManager[object]:
    """Return a context in which batch norm sees the images of all processes that share a call."""
    team = find_team()
    return nullcontext() if team is None else SyncedNorms(team)


class SyncedNorms(TorchFunctionMode):
    """Takes the place of ``F.batch_norm`` wherever it is called.

    Args:
        team: the processes whose images are normalised together.
    """

    def __init__(self, team: Team) -> None:
        super().__init__()
        self._team = team

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is F.batch_norm:
            return self._normalise(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _normalise(
        self,
        input: Tensor,  # noqa: A002 (torch's name)
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """Take the place of ``F.batch_norm``."""
        if not training:
            return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
        output, mean, variance, count = cast(
            tuple[Tensor, Tensor, Tensor, Tensor], _SyncedNorm.apply(input, weight, bias, eps)
        )
        if running_mean is not None and running_var is not None:
            images = count / self._team.replicas
            with torch.no_grad():
                running_mean.lerp_(mean.to(running_mean), momentum)
                running_var.lerp_((variance * (images / (images - 1))).to(running_var), momentum)
        return output


class _SyncedNorm(torch.autograd.Function):
    """Batch norm, its statistics and the number of values behind each of them."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mean, variance, count = _measure(_widen(inputs))
        ctx.save_for_backward(inputs, weight, mean, variance, count)
        ctx.eps, ctx.has_bias = eps, bias is not None
        ctx.mark_non_differentiable(mean, variance, count)
        ctx.set_materialize_grads(False)
        scale = (variance + eps).rsqrt()
        if weight is not None:
            scale = scale * weight
        output = (_widen(inputs) - _fit(mean, inputs)) * _fit(scale, inputs)
        if bias is not None:
            output = output + _fit(bias, inputs)
        return output.to(inputs.dtype), mean, variance, count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        inputs, weight, mean, variance, count = ctx.saved_tensors
        if gradients[0] is None:
            return None, None, None, None
        gradient, values = _widen(gradients[0]), _widen(inputs)
        if torch.is_grad_enabled():  # to be differentiated again: the statistics depend on the inputs
            mean, variance, count = _measure(values)
        deviation = (variance + ctx.eps).rsqrt()
        normed = (values - _fit(mean, inputs)) * _fit(deviation, inputs)
        axes = _list_axes(inputs)
        sums = torch.stack([gradient.sum(axes), (gradient * normed).sum(axes)])
        means = add_up_for_parts(sums) / count
        own = gradient - _fit(means[0], inputs) - normed * _fit(means[1], inputs)
        scale = deviation if weight is None else deviation * weight
        of_inputs = (own * _fit(scale, inputs)).to(inputs.dtype)
        # Those of weight and bias are this process's; the optimiser's sum comes later.
        of_weight = None if weight is None else sums[1].to(weight.dtype)
        of_bias = sums[0].to(deviation.dtype if weight is None else weight.dtype) if ctx.has_bias else None
        return of_inputs, of_weight, of_bias, None


def _measure(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean and variance of each channel over all processes, [C], and the number of values behind.

    In two passes, as a difference of squares would lose digits.
    """
    axes = _list_axes(values)
    own = values.new_full((1,), values.numel() // values.shape[1])
    sums = add_up_for_parts(torch.cat([values.sum(axes), own]))
    count = sums[-1]
    mean = sums[:-1] / count
    squares = (values - _fit(mean, values)).square().sum(axes)
    return mean, add_up_for_parts(squares) / count, count


def _list_axes(values: Tensor) -> list[int]:
    return [axis for axis in range(values.dim()) if axis != 1]


def _fit(channels: Tensor, values: Tensor) -> Tensor:
    """Give [C] the shape that goes with [N, C, ...]."""
    return channels.view(1, -1, *[1] * (values.dim() - 2))


def _widen(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values
