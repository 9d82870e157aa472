"""The user's own networks: ``package.module:factory``.

Of the keyword arguments ``num_classes``, ``channels`` and ``image_size`` (height, width), the factory is
called with those that it accepts; it must accept ``num_classes``. It returns an ``nn.Module`` that maps
normalised images [N, C, H, W] to logits [N, classes]. It should draw from the generators of torch, of
``numpy.random`` or of Python's ``random``, so that the same seed gives the same network.
"""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.refusal import check_network
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.reproducibility.seeds import seeded_draws

_ARGUMENTS = ("num_classes", "channels", "image_size")
_CONVENTION = "it is called as factory(num_classes=..., channels=..., image_size=(height, width))"


def import_factory(name: str) -> Callable[..., Any]:
    """Import ``package.module:factory`` and check that it can be called; this runs the user's module.

    Raises:
        ModelError: no such module or attribute, the module fails, or the factory's signature does not fit.
    """
    module_name, _, attribute = name.partition(":")
    try:
        with seeded_draws(0):  # what it draws while it is imported is the same in every run
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise ModelError(
                f"model {name!r}: {module_name!r} needs {error.name!r}, which is missing"
            ) from error
        raise ModelError(
            f"model {name!r}: there is no module {error.name!r}; install it, or put its folder on PYTHONPATH"
        ) from error
    except Exception as error:
        raise ModelError(f"model {name!r}: importing {module_name!r} failed: {error!r}") from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise ModelError(f"model {name!r}: module {module_name!r} has no function or class {attribute!r}")
    _accepted_arguments(factory, name)
    return factory


def build_from_factory(spec: ModelSpec) -> nn.Module:
    """Call the factory that ``spec.name`` names.

    Raises:
        ModelError: the factory cannot be imported or called, does not return an ``nn.Module``, or one that
            ``check_network`` refuses.
    """
    factory = import_factory(spec.name)
    arguments = {key: getattr(spec, key) for key in _accepted_arguments(factory, spec.name)}
    try:
        network = factory(**arguments)
    except Exception as error:
        raise ModelError(f"model {spec.name!r}: the factory failed on {arguments}: {error!r}") from error
    if not isinstance(network, nn.Module):
        raise ModelError(f"model {spec.name!r} returned a {type(network).__name__}, not a torch.nn.Module")
    check_network(network, spec.name)
    return network


def _accepted_arguments(factory: Callable[..., Any], name: str) -> list[str]:
    parameters = inspect.signature(factory).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        accepted = list(_ARGUMENTS)
    else:
        by_keyword = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        accepted = [argument for argument in _ARGUMENTS if argument in by_keyword]
    if "num_classes" not in accepted:
        raise ModelError(f"model {name!r} does not accept num_classes; {_CONVENTION}")
    missing = [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and parameter.name not in accepted
    ]
    if missing:
        raise ModelError(f"model {name!r} also requires {', '.join(missing)}; {_CONVENTION}")
    return accepted
