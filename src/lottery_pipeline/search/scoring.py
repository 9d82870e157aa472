"""How weights are scored without leaving a trace in the model: what SNIP, GraSP, SynFlow and ProsPr share.

A score function is pure: (model, images, labels, ...) -> ``Scores``, higher = keep. It computes with copies
of the model's tensors, so parameters, buffers, modes, ``requires_grad``, gradients and the default random
generators are unchanged afterwards, also after an error.

Arguments that score functions share:
    model: pixels in [0, 1] -> logits; stays as it is.
    images: [N, C, H, W] on the model's device.
    labels: int64 [N].
    masks: the masked network is scored, and masked weights score 0; None is all ones.
    ignore_layers: patterns of layers that are never pruned.
    batch_size: images at once. Sums over micro-batches are exact, so this only bounds the memory, batch
        statistics aside.
    batch_statistics: batch norm normalises by each micro-batch, as in training, but leaves its buffers alone;
        otherwise by its running averages. Everything else is in evaluation mode.
    loss: (logits, labels) -> mean over the images it is given.

Returns:
    Scores by name of the prunable parameters, on the model's device.

Raises:
    TicketError: labels are missing.
    ModelError: nothing is left to prune.
    MaskError: the masks are not those of the model.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.sparsity.masks import Masks, Weights, apply_masks_, check_masks
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.training.device import seeded
from lottery_pipeline.training.evaluation import modes_restored

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]


@contextmanager
def batch_statistics(model: nn.Module) -> Iterator[None]:
    """Let batch norm normalise by the batch and leave its buffers alone; the rest is in evaluation mode.

    Instance norm normalises by the image, as in training too.
    """
    norms = [module for module in model.modules() if isinstance(module, _NormBase)]
    settings = [(norm.track_running_stats, norm.momentum) for norm in norms]
    with modes_restored(model):
        try:
            for module in model.modules():
                module.training = isinstance(module, _NormBase)
            for norm in norms:
                norm.track_running_stats = False
                if not isinstance(norm, _BatchNorm):
                    norm.momentum = None  # instance norm would write to its buffers all the same
            yield
        finally:
            for norm, (tracked, momentum) in zip(norms, settings, strict=True):
                norm.track_running_stats, norm.momentum = tracked, momentum


@contextmanager
def copied_tensors(
    model: nn.Module, masks: Masks | None, ignore_layers: Iterable[str], *, by_batch: bool
) -> Iterator[tuple[Weights, Weights]]:
    """Copy a model's tensors for ``functional_call``, and set the model up for scoring meanwhile.

    Args:
        model: not written to.
        masks: for the prunable weights; None keeps all.
        ignore_layers: as in ``prunable_parameters``.
        by_batch: batch norm normalises by the batch; otherwise everything is in evaluation mode.

    Yields:
        The masked prunable weights, which require gradients; and all other parameters and the buffers.

    Raises:
        ModelError: nothing is left to prune.
        MaskError: the masks are not those of the model.
    """
    prunable = prunable_parameters(model, ignore_layers)
    weights = {name: weight.detach().clone() for name, weight in prunable.items()}
    if masks is not None:
        check_masks(masks, weights)
        apply_masks_(weights, masks)
    scored = {id(weight) for weight in prunable.values()}  # by identity: tied weights have several names
    named = [*model.named_parameters(), *model.named_buffers()]
    others = {name: tensor.detach().clone() for name, tensor in named if id(tensor) not in scored}
    device = next(iter(weights.values())).device
    # The fused kernels of attention cannot be differentiated twice.
    with modes_restored(model), seeded(device, 0), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        for module in model.modules():
            module.training = False
        with batch_statistics(model) if by_batch else nullcontext():
            yield {name: weight.requires_grad_() for name, weight in weights.items()}, others


def check_labels(method: str, images: Tensor, labels: Tensor | None) -> Tensor:
    """Return the labels, or say what is wrong with them.

    Raises:
        TicketError: there are no labels, or not one for each of one or more images.
    """
    if labels is None:
        raise TicketError(f"{method} needs the labels of its images, but labels is None")
    if len(images) != len(labels) or not len(images):
        raise TicketError(
            f"{method} needs one label for each of 1 or more images, got {len(labels)} for {len(images)}"
        )
    return labels


def split_batches(tensor: Tensor, batch_size: int) -> tuple[Tensor, ...]:
    """Split into micro-batches as equal as possible.

    Unless ``batch_size`` is 1, none of several has one image, which has no variance: of an odd number of
    images in batches of 2, three are together.
    """
    count = len(tensor)
    most = count if batch_size == 1 else max(1, count // 2)
    return tensor.tensor_split(min(math.ceil(count / batch_size), most))


def yield_losses(
    model: nn.Module, tensors: Weights, images: Tensor, labels: Tensor, *, batch_size: int, loss: Loss
) -> Iterator[Tensor]:
    """Yield what each micro-batch contributes to the mean loss over all images."""
    batches = (split_batches(tensor, batch_size) for tensor in (images, labels))
    for pixels, targets in zip(*batches, strict=True):
        yield loss(functional_call(model, tensors, (pixels,)), targets) * (len(pixels) / len(images))


def differentiate(value: Tensor, weights: Weights, *, create_graph: bool = False) -> Weights:
    """Return the gradient of a scalar by name, 0 for what it does not depend on.

    Raises:
        TicketError: torch has no second derivative of an operation of the network, such as hard sigmoid.
    """
    try:
        found = torch.autograd.grad(
            value,
            list(weights.values()),
            create_graph=create_graph,
            allow_unused=True,
            materialize_grads=True,
        )
    except RuntimeError as error:
        if "is not implemented" not in str(error):
            raise
        fault = str(error).partition("\n")[0]
        raise TicketError(
            f"this network cannot be differentiated as often as the method requires: {fault}"
        ) from error
    return dict(zip(weights, found, strict=True))


def sum_gradients(values: Iterable[Tensor], weights: Weights) -> Weights:
    """Return the gradient of the sum of scalars; only one of their graphs exists at a time."""
    total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for value in values:
        for name, gradient in differentiate(value, weights).items():
            total[name] += gradient
    return total
