"""Model names: what ``model.name`` may be. Imports no torch, so refusing a bad name costs nothing."""

import difflib
import re

BUILT_IN_MODELS: tuple[str, ...] = (
    "lenet_300_100",
    "conv2",
    "conv4",
    "conv6",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "resnet18",
    "resnet50",
    "vgg16",
    "vgg19",
)
SUPERNET = "supernet"
SUPERNET_PREFIX = f"{SUPERNET}:"
TORCHVISION_PREFIX = "torchvision:"
NAME_LENGTH = 200

_TORCHVISION_NAME = re.compile(r"torchvision:[a-z][a-z0-9_]*")
_FACTORY_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


class ModelError(ValueError):
    """A model that does not exist, cannot be built, or does not fit its images."""


def is_factory(name: str) -> bool:
    """Whether ``name`` has the form ``package.module:factory`` and so names the user's own code."""
    return (
        not name.startswith((TORCHVISION_PREFIX, SUPERNET_PREFIX))
        and _FACTORY_NAME.fullmatch(name) is not None
    )


def check_model_name(name: str) -> None:
    """Check the form of a model name; imports nothing, so what it names need not exist.

    Args:
        name: a built-in, ``supernet``, ``torchvision:<name>`` or ``package.module:factory``.

    Raises:
        ModelError: the name has none of these forms.
    """
    if len(name) > NAME_LENGTH:
        raise ModelError(f"a model name has at most {NAME_LENGTH} characters, this one has {len(name)}")
    if name in (*BUILT_IN_MODELS, SUPERNET) or _TORCHVISION_NAME.fullmatch(name) or is_factory(name):
        return
    raise ModelError(
        f"unknown model {name!r}{suggest(name, BUILT_IN_MODELS)}; allowed are {', '.join(BUILT_IN_MODELS)}, "
        "supernet:<preset or file>, torchvision:<name> and package.module:factory"
    )


def suggest(name: str, known: tuple[str, ...]) -> str:
    """Return `` (did you mean 'a', 'b'?)`` for close matches of ``name``, or nothing."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    return f" (did you mean {', '.join(map(repr, close))}?)" if close else ""
