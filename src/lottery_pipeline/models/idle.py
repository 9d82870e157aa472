"""Layers that take no part in the forward pass, such as a head that nobody reads: they do not count in D."""

import copy
import glob
import math
from collections.abc import Collection, Iterator

import torch
from torch import Tensor, nn

from lottery_pipeline.models.names import NAME_LENGTH, ModelError, is_factory
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import MOST_PATTERNS, ModelSpec
from lottery_pipeline.reproducibility.seeds import seeded_draws


def leave_out_idle_layers(spec: ModelSpec, *, allow_factory: str | None = None) -> ModelSpec:
    """Return the specification with the idle layers of a user's network among its ``ignore_layers``.

    So whatever is made from it later, also from a file, has the same D.

    Args:
        spec: of a network; of one of ours or of torchvision's it is returned as it is.
        allow_factory: the trusted ``package.module:factory``, if the model is one.

    Raises:
        ModelError: the network cannot be built, or its idle layers are too many to be named.
    """
    idle = find_idle_layers(spec, allow_factory=allow_factory)
    if not idle:
        return spec
    model = build_model(spec, seed=0, device="meta", allow_factory=allow_factory)
    counted = {name.removesuffix(".weight") for name in prunable_parameters(model, spec.ignore_layers)}
    new = tuple(_list_patterns(counted.intersection(idle), counted))
    patterns = (*spec.ignore_layers, *new)
    if len(patterns) > MOST_PATTERNS or any(len(pattern) > NAME_LENGTH for pattern in new):
        raise ModelError(
            f"{len(idle)} layers of {spec.name} take no part in the forward pass, the first is {idle[0]}, "
            "and they are too many to be left out one by one; remove them"
        )
    return spec.model_copy(update={"ignore_layers": patterns})


def find_idle_layers(spec: ModelSpec, *, allow_factory: str | None = None) -> tuple[str, ...]:
    """Return the convolution and linear layers on which no logit depends, in the order of the network.

    The logits depend on a weight if it gets a gradient in evaluation or in training mode, or, where gradients
    are cut off, if they are no longer finite when the weight is not a number.

    Args:
        spec: of a network; only the user's own are looked at.
        allow_factory: the trusted ``package.module:factory``, if the model is one.
    """
    if not is_factory(spec.name):
        return ()
    model = build_model(spec, seed=0, allow_factory=allow_factory)
    images = torch.rand(2, spec.channels, *spec.image_size, generator=torch.Generator().manual_seed(0))
    names = list(prunable_parameters(model))
    silent = _without_gradient(copy.deepcopy(model), images, names)
    if silent and _depends(copy.deepcopy(model), images, silent):
        silent = [name for name in silent if not _depends(copy.deepcopy(model), images, [name])]
    return tuple(name.removesuffix(".weight") for name in silent)


def _without_gradient(model: nn.Module, images: Tensor, names: list[str]) -> list[str]:
    weights = [model.get_parameter(name).requires_grad_() for name in names]
    silent = set(range(len(names)))
    for logits in _run(model, images):
        if logits.requires_grad:
            found = torch.autograd.grad(logits.sum(), weights, allow_unused=True)
            silent -= {place for place, gradient in enumerate(found) if gradient is not None}
    return [names[place] for place in sorted(silent)]


def _depends(model: nn.Module, images: Tensor, names: list[str]) -> bool:
    """Whether the logits are no longer finite when these weights are not."""
    with torch.no_grad():
        for name in names:
            model.get_parameter(name).fill_(math.nan)
        return not all(bool(logits.isfinite().all()) for logits in _run(model, images))


def _run(model: nn.Module, images: Tensor) -> Iterator[Tensor]:
    """Yield the logits in evaluation mode and in training mode."""
    for training in (False, True):
        with seeded_draws(0):
            yield model.train(training)(images)


def _list_patterns(idle: Collection[str], counted: Collection[str]) -> Iterator[str]:
    """Yield as few patterns as match the idle layers; a module that is idle as a whole is one."""
    named: set[str] = set()
    for layer in sorted(idle):
        parts = layer.split(".")
        modules = [".".join(parts[:depth]) for depth in range(1, len(parts))]
        whole = next((module for module in modules if _inside(module, counted) <= set(idle)), layer)
        if whole not in named:
            named.add(whole)
            yield glob.escape(whole) if whole == layer else f"{glob.escape(whole)}.*"


def _inside(module: str, layers: Collection[str]) -> set[str]:
    return {layer for layer in layers if layer.startswith(f"{module}.")}
