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
            A layer that they name may be missing, as a network can lose layers; see ``check_ignore_layers``.

    Returns:
        Parameters by name (``network.fc.weight``), in module order; their sizes sum to D.

    Raises:
        ModelError: no weight is left.
    """
    patterns = tuple(ignore_layers)
    layers = _list_layers(model)
    own = {name.removesuffix(".weight"): weight for name, weight in model.named_parameters()}
    named = [*layers.items(), *own.items()]  # an embedding may give its name to the weight of a linear layer
    ignored = {id(weight) for name, weight in named if any(_matches(name, pattern) for pattern in patterns)}
    weights = {id(weight) for weight in layers.values()} - ignored
    kept = {name: weight for name, weight in model.named_parameters() if id(weight) in weights}
    if not kept:
        raise ModelError("nothing is left to prune: no convolution or linear layer is outside ignore_layers")
    return kept


def check_ignore_layers(model: nn.Module, ignore_layers: Iterable[str]) -> None:
    """Check that every pattern names a layer of a whole network; it may be one that does not count anyway.

    Raises:
        ModelError: a pattern matches no layer; one sentence with some that there are.
    """
    for pattern in ignore_layers:
        if not any(_matches(name, pattern) for name in _list_owners(model)):
            known = [name.removeprefix(PREFIX) for name in _list_layers(model)]
            shown = ", ".join(known if len(known) <= 8 else [*known[:4], "...", *known[-3:]])
            raise ModelError(f"ignore_layers pattern {pattern!r} matches no layer; layers are {shown}")


def _list_layers(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the weight of each convolution and linear layer by the name of the layer, second names too."""
    return {
        name: weight
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, nn.Linear | _ConvNd)
        and (weight := module._parameters.get("weight")) is not None
    }


def _list_owners(model: nn.Module) -> list[str]:
    """Return the names of the modules that have parameters of their own, parametrised ones included."""
    return [
        name
        for name, module in model.named_modules(remove_duplicate=False)
        if is_parametrized(module) or any(True for _ in module.parameters(recurse=False))
    ]


def _matches(layer: str, pattern: str) -> bool:
    short = layer.removeprefix(PREFIX)
    return any(fnmatchcase(name, pattern) for name in (layer, short, f"{layer}.weight", f"{short}.weight"))
