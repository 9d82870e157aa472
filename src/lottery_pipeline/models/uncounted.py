"""Weights of a network that do not count in D, and the reason for each."""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrize import is_parametrized

from lottery_pipeline.models.idle import find_idle_layers
from lottery_pipeline.models.prunable import PREFIX, prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec

IDLE = "no part in the forward pass"
IGNORED = "in ignore_layers"
_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_KINDS: dict[type[nn.Module], str] = {
    nn.RNNBase: "recurrent",
    nn.RNNCellBase: "recurrent",
    nn.MultiheadAttention: "projection into attention",
    nn.Bilinear: "bilinear",
    nn.Embedding: "embedding",
    nn.EmbeddingBag: "embedding",
}
_SHOWN = 3  # layers named for each reason


class Uncounted(NamedTuple):
    """A layer, or a parameter of a module of the user's own, whose weights do not count.

    Attributes:
        layer: its name inside the network.
        weights: their number.
        share: of all weights of the network, counted or not.
        reason: why they do not count.
    """

    layer: str
    weights: int
    share: float
    reason: str


def find_uncounted(spec: ModelSpec, *, allow_factory: str | None = None) -> list[Uncounted]:
    """List all weights of the network of a specification that do not count; see ``list_uncounted``."""
    device = torch.device("cpu" if spec.name == allow_factory else "meta")
    model = build_model(spec, seed=0, device=device, allow_factory=allow_factory)
    return list_uncounted(model, spec.ignore_layers, find_idle_layers(spec, allow_factory=allow_factory))


def list_uncounted(
    model: nn.Module, ignore_layers: Iterable[str] = (), idle: Collection[str] = ()
) -> list[Uncounted]:
    """List all weights that do not count in D, in the order of the network.

    Biases, normalisation and other vectors, such as a scale per channel, never count and are not listed.

    Args:
        model: usually what ``build_model`` returned.
        ignore_layers: as in ``prunable_parameters``.
        idle: the layers among them that ``find_idle_layers`` has found.
    """
    counted = prunable_parameters(model)
    kept = prunable_parameters(model, ignore_layers)
    found: dict[str, tuple[int, str]] = {}
    for name, weight in counted.items():
        if name not in kept:
            layer = name.removesuffix(".weight")
            found[layer] = (weight.numel(), IDLE if layer in idle else IGNORED)
    for name, size, reason in _list_others(model, {id(weight) for weight in counted.values()}):
        found[name] = (size + found.get(name, (0, ""))[0], reason)
    total = sum(weight.numel() for weight in kept.values()) + sum(size for size, _ in found.values())
    places = {name: place for place, name in enumerate(_list_names(model))}
    return [
        Uncounted(name.removeprefix(PREFIX), found[name][0], found[name][0] / total, found[name][1])
        for name in sorted(found, key=places.__getitem__)
    ]


def describe_uncounted(rows: Sequence[Uncounted]) -> str:
    """Return one sentence about what does not count in D; empty if everything counts.

    Each reason stands with the first of its layers and the share of all of them, the largest share first.
    """
    if not rows:
        return ""
    groups: dict[str, list[Uncounted]] = {}
    for row in rows:
        groups.setdefault(row.reason, []).append(row)
    parts = []
    for reason, members in sorted(groups.items(), key=lambda group: -sum(row.weights for row in group[1])):
        more = len(members) - _SHOWN
        names = ", ".join(row.layer for row in members[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        parts.append(f"{names} ({reason}, {_percent(members)})")
    return f"{_percent(rows)} of the network's weights are not counted in D: {'; '.join(parts)}"


def _percent(rows: Iterable[Uncounted]) -> str:
    share = 100 * math.fsum(row.share for row in rows)
    return "less than 0.1 %" if share < 0.1 else f"{share:.1f} %"


def _list_others(model: nn.Module, counted: set[int]) -> Iterator[tuple[str, int, str]]:
    """Yield name, number of weights and reason of all that is not the weight of a counted layer."""
    seen = set(counted)
    hidden: tuple[str, ...] = ()  # what a parametrisation computes the weight from
    for layer, module in model.named_modules():
        if is_parametrized(module):
            hidden += (f"{layer}.parametrizations",)
            for tensor in module.parametrizations:
                weight = getattr(module, tensor)
                if _is_weight(weight):
                    yield layer, weight.numel(), "parametrised"
        elif isinstance(module, nn.Linear | _ConvNd) and module._parameters.get("weight") is None:
            yield layer, module.weight.numel(), "its weight is not a parameter"
        if layer.startswith(hidden) or isinstance(module, _NORMS):
            continue
        reason = next((reason for kind, reason in _KINDS.items() if isinstance(module, kind)), None)
        for tensor, parameter in module.named_parameters(recurse=False):
            if id(parameter) not in seen and _is_weight(parameter):
                seen.add(id(parameter))
                name = f"{layer}.{tensor}" if layer else tensor
                yield (
                    (name, parameter.numel(), "parameter")
                    if reason is None
                    else (
                        layer,
                        parameter.numel(),
                        reason,
                    )
                )


def _is_weight(tensor: Tensor) -> bool:
    return tensor.numel() > max(tensor.shape, default=1)


def _list_names(model: nn.Module) -> Iterator[str]:
    for layer, module in model.named_modules():
        yield layer
        for tensor, _ in module.named_parameters(recurse=False):
            yield f"{layer}.{tensor}" if layer else tensor
