"""From a model specification to a network: the allow-list of what can be built."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from lottery_pipeline.models.behaviour import digest_behaviour, join_behaviour, name_differences
from lottery_pipeline.models.classifier import Classifier, Normalise
from lottery_pipeline.models.convnet import ConvNet
from lottery_pipeline.models.factory import build_from_factory, import_factory
from lottery_pipeline.models.lenet import LeNet300100
from lottery_pipeline.models.memory_format import fit_memory_format_
from lottery_pipeline.models.names import (
    SUPERNET,
    TORCHVISION_PREFIX,
    ModelError,
    check_model_name,
    is_factory,
)
from lottery_pipeline.models.reduction import narrow_layers_, remove_blocks_
from lottery_pipeline.models.refusal import check_complete
from lottery_pipeline.models.resnet import CifarResNet
from lottery_pipeline.models.sources import digest_sources
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.supernet.network import build_supernet
from lottery_pipeline.models.ties import check_memory
from lottery_pipeline.models.torchvision_models import build_resnet, build_torchvision, check_torchvision_name
from lottery_pipeline.models.vgg import CifarVGG
from lottery_pipeline.models.without_allocation import WithoutAllocation
from lottery_pipeline.reproducibility.seeds import seeded_draws

Builder = Callable[[ModelSpec], nn.Module]
# By name, identity of the factory, classes, channels and image size; the factory, so that its identity stays.
_behaviours: dict[tuple[Any, ...], tuple[Any, str]] = {}


def _conv(depth: int) -> Builder:
    return lambda spec: ConvNet(depth, spec.num_classes, spec.channels, spec.image_size)


def _cifar_resnet(depth: int) -> Builder:
    return lambda spec: CifarResNet(depth, spec.num_classes, spec.channels)


def _cifar_vgg(depth: int) -> Builder:
    return lambda spec: CifarVGG(depth, spec.num_classes, spec.channels)


# Name -> (builder, least height and width in pixels).
BUILDERS: dict[str, tuple[Builder, int]] = {
    "lenet_300_100": (lambda spec: LeNet300100(spec.num_classes, spec.channels, spec.image_size), 1),
    **{f"conv{depth}": (_conv(depth), 2 ** (depth // 2)) for depth in (2, 4, 6)},
    **{f"resnet{depth}": (_cifar_resnet(depth), 1) for depth in (20, 32, 44, 56, 110)},
    "resnet18": (lambda spec: build_resnet(spec, "resnet18"), 1),
    "resnet50": (lambda spec: build_resnet(spec, "resnet50"), 1),
    **{f"vgg{depth}": (_cifar_vgg(depth), 16) for depth in (16, 19)},
    SUPERNET: (build_supernet, 1),
}


def build_model(
    spec: ModelSpec, *, seed: int, device: str | torch.device = "cpu", allow_factory: str | None = None
) -> Classifier:
    """Build the classifier of a specification with fresh weights.

    All that the network draws, also in its first pass (lazy layers), it draws on the CPU under the seed, so
    it is the same on every device; the random state of the process is unchanged.

    Args:
        spec: what to build.
        seed: of the initialisation.
        device: where the model goes; on ``meta`` nothing is allocated (a factory's network is, for a moment).
        allow_factory: the one ``package.module:factory`` that may be imported. So a specification from a file
            can never choose which code runs.

    Returns:
        Normalisation and network, in training mode: pixels in [0, 1], [N, C, H, W], to logits.

    Raises:
        ModelError: the name is not allowed or unknown, the network does not fit the images, or its code is no
            longer the one that the specification was made with.
    """
    device = torch.device(device)
    factory = is_factory(spec.name)
    if factory and spec.name != allow_factory:
        raise ModelError(
            f"model {spec.name!r} is code outside this package and is imported only on request: "
            f"pass allow_factory={spec.name!r} if you trust it"
        )
    if spec.behaviour is not None:
        _check_behaviour(spec, allow_factory)
    place = WithoutAllocation if device.type == "meta" and not factory else partial(torch.device, "cpu")
    with seeded_draws(seed):
        with place():
            model = Classifier(Normalise(spec.mean, spec.std), _build_network(spec))
        if factory:  # lazy layers draw their weights in this pass, and only then can they be narrowed
            _check_logits(model, spec)
            check_complete(model, spec.name)
            check_memory(model)
        with place():
            remove_blocks_(model, spec.removed_blocks)
            narrow_layers_(model, spec.narrowed)
        if spec.narrowed or not (factory or spec.name in BUILDERS):
            _check_logits(model, spec)
    if factory:
        fit_memory_format_(model, spec)
    model.behaviour = spec.behaviour
    return model.to(device)


def with_behaviour(spec: ModelSpec, *, allow_factory: str | None = None) -> ModelSpec:
    """Return the specification with the behaviour of its network, unless it has one or is a built-in.

    Args:
        spec: what will be trained.
        allow_factory: as for ``build_model``.

    Raises:
        ModelError: the network cannot be built, or draws numbers that no seed governs.
    """
    if spec.behaviour is not None or spec.name in BUILDERS:
        return spec
    return spec.model_copy(update={"behaviour": _find_behaviour(spec, allow_factory)})


def ensure_buildable(name: str) -> None:
    """Check that a named model exists: look it up in torchvision or import the user's factory.

    Raises:
        ModelError: it does not exist; one sentence, with close matches.
    """
    check_model_name(name)
    if name.startswith(TORCHVISION_PREFIX):
        check_torchvision_name(name.removeprefix(TORCHVISION_PREFIX))
    elif is_factory(name):
        import_factory(name)


def _check_behaviour(spec: ModelSpec, allow_factory: str | None) -> None:
    found = _find_behaviour(spec, allow_factory)
    if differences := name_differences(spec.behaviour or "", found):
        raise ModelError(
            f"the code of model {spec.name!r} has changed since this was made (its {differences}), so "
            "weights and masks would be in another network; bring that code back, or make a new dense run"
        )


def _find_behaviour(spec: ModelSpec, allow_factory: str | None) -> str:
    """Return the behaviour of the full network of a name, found once in a process."""
    spec = spec.restored().model_copy(update={"behaviour": None, "ignore_layers": ()})
    factory = import_factory(spec.name) if is_factory(spec.name) and spec.name == allow_factory else None
    key = (spec.name, id(factory), spec.num_classes, spec.channels, spec.image_size)
    if key in _behaviours:
        return _behaviours[key][1]
    source = "0" * 64
    if is_factory(spec.name):
        model, again = (build_model(spec, seed=0, allow_factory=allow_factory) for _ in range(2))
        _check_seeding(spec, model, again)
        source = digest_sources(spec.name, {type(module) for module in model.modules()})

    def build() -> nn.Module:
        with WithoutAllocation() if factory is None else torch.device("cpu"):
            return _build_network(spec)

    try:
        digests = digest_behaviour(build, (spec.channels, *spec.image_size), meta=factory is None)
    except ModelError:
        raise
    except Exception as error:  # whatever the code of others raises
        raise ModelError(f"{spec.name} does not take {_describe(spec)}: {_first_line(error)}") from error
    _behaviours[key] = factory, join_behaviour({"source": source, **digests})
    return _behaviours[key][1]


def _check_seeding(spec: ModelSpec, model: nn.Module, again: nn.Module) -> None:
    first, second = model.state_dict(), again.state_dict()
    drawn = [name for name in first if name not in second or not torch.equal(first[name], second[name])]
    if drawn:
        raise ModelError(
            f"model {spec.name!r} starts with other numbers whenever it is built ({drawn[0]}); let it draw "
            "from torch, numpy.random or random, which are seeded, and from no generator of its own"
        )


def _build_network(spec: ModelSpec) -> nn.Module:
    if spec.name in BUILDERS:
        builder, least = BUILDERS[spec.name]
        if min(spec.image_size) < least:
            height, width = spec.image_size
            raise ModelError(
                f"{spec.name} needs images of at least {least}x{least} pixels, these are {height}x{width}; "
                f"raise data.image_size or choose another model"
            )
        return builder(spec)
    if is_factory(spec.name):
        return build_from_factory(spec)
    try:
        return build_torchvision(spec, spec.name.removeprefix(TORCHVISION_PREFIX))
    except ModelError:
        raise
    except Exception as error:  # whatever torchvision says about, e.g., a size its patches do not divide
        fault = _first_line(error)
        raise ModelError(f"{spec.name} cannot be built for {_describe(spec)}: {fault}") from error


def _check_logits(model: Classifier, spec: ModelSpec) -> None:
    """Run two black images through a network that is not ours, without arithmetic where possible."""
    device = torch.device("cpu" if is_factory(spec.name) else "meta")
    state = {name: value.to(device) for name, value in [*model.named_parameters(), *model.named_buffers()]}
    images = torch.zeros(2, spec.channels, *spec.image_size, device=device)
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logits = torch.func.functional_call(model.eval(), state, (images,))
    except Exception as error:
        raise ModelError(f"{spec.name} does not take {_describe(spec)}: {_first_line(error)}") from error
    finally:
        for module, training in modes.items():
            module.training = training
    expected = (2, spec.num_classes)
    if not isinstance(logits, torch.Tensor) or logits.shape != expected:
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ModelError(f"{spec.name} should map two images to logits of shape {expected}, not to {got}")


def _describe(spec: ModelSpec) -> str:
    height, width = spec.image_size
    return f"images of {height}x{width} pixels and {spec.channels} channels"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
