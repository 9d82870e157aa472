"""Which parameters can be pruned: one definition for the whole project."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrize import is_parametrized

from lottery_pipeline.models.names import ModelError

PREFIX = "network."


def prunable_parameters(model: nn.Module, ignore_layers: Iterable[str] = ()) -> dict[str, nn.Parameter]:
    """Return the weights of convolution and linear layers, last layer and shortcuts included.

    Biases and batch norm are never included. The input projection of torch's attention layer is not a linear
    layer, so it does not count either. A weight that two layers share appears once, under the first name that
    the network has for it; a pattern that matches one of the layers matches it.

    Args:
        model: usually what ``build_model`` returned.
        ignore_layers: fnmatch patterns on layer names, with or without ``network.``: ``fc``, ``layer1.*``.
            They may name layers that do not count anyway, such as a parametrised one.

    Returns:
        Parameters by name (``network.fc.weight``), in module order; their sizes sum to D.

    Raises:
        ModelError: a pattern matches no layer, or no weight is left.
    """
    first_names = {id(parameter): name for name, parameter in model.named_parameters()}
    layers: dict[str, str] = {}  # the names of all layers, and of the weight that each has
    weights: dict[str, nn.Parameter] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        weight = module._parameters.get("weight") if isinstance(module, nn.Linear | _ConvNd) else None
        if weight is not None:
            layers[name] = first_names[id(weight)]
            weights.setdefault(layers[name], weight)
    ignored: set[str] = set()
    for pattern in ignore_layers:
        matched = {weight for name, weight in layers.items() if _matches(name, pattern)}
        if not matched and not any(_matches(name, pattern) for name in _list_owners(model)):
            known = [name.removeprefix(PREFIX) for name in layers]
            shown = ", ".join(known if len(known) <= 8 else [*known[:4], "...", *known[-3:]])
            raise ModelError(f"ignore_layers pattern {pattern!r} matches no layer; layers are {shown}")
        ignored |= matched
    kept = {name: weight for name, weight in weights.items() if name not in ignored}
    if not kept:
        raise ModelError("nothing is left to prune: no convolution or linear layer is outside ignore_layers")
    return kept


def _list_owners(model: nn.Module) -> list[str]:
    """Return the names of the modules that have parameters of their own, parametrised ones included."""
    return [
        name
        for name, module in model.named_modules()
        if is_parametrized(module) or any(True for _ in module.parameters(recurse=False))
    ]


def _matches(layer: str, pattern: str) -> bool:
    short = layer.removeprefix(PREFIX)
    return any(fnmatchcase(name, pattern) for name in (layer, short, f"{layer}.weight", f"{short}.weight"))
