"""torchvision's classification networks, untrained, fitted to the images and classes at hand."""

import torchvision
from torch import nn

from lottery_pipeline.models.names import ModelError, suggest
from lottery_pipeline.models.spec import ModelSpec

SMALL_IMAGE = 64  # pixels; up to here ResNet-18 and ResNet-50 get a stem that keeps the resolution
_WITHOUT_AUXILIARY_HEADS = {"aux_logits": False, "init_weights": True}


def torchvision_names() -> tuple[str, ...]:
    """Names of torchvision's image classification networks."""
    return tuple(torchvision.models.list_models(module=torchvision.models))


def check_torchvision_name(name: str) -> None:
    """Raise ModelError if torchvision has no classification network ``name`` (without prefix)."""
    names = torchvision_names()
    if name not in names:
        raise ModelError(
            f"torchvision has no classification network {name!r}{suggest(name, names)}; "
            f"see torchvision.models.list_models(module=torchvision.models)"
        )


def build_torchvision(spec: ModelSpec, name: str) -> nn.Module:
    """Build ``torchvision.models.<name>`` with its own initialisation and a head of ``spec.num_classes``.

    No weights are downloaded. Auxiliary heads are left out, transformers are given the image size, and the
    first convolution is replaced if images do not have three channels (Kaiming normal, fan out).
    """
    check_torchvision_name(name)
    height, width = spec.image_size
    arguments: dict[str, object] = {}
    if name in ("googlenet", "inception_v3"):
        arguments = dict(_WITHOUT_AUXILIARY_HEADS)
    elif name.startswith("vit_"):
        if height != width:
            raise ModelError(f"torchvision:{name} needs square images, these are {height}x{width} pixels")
        arguments = {"image_size": height}
    elif name.startswith("maxvit"):
        arguments = {"input_size": (height, width)}
    network: nn.Module = torchvision.models.get_model(
        name, weights=None, num_classes=spec.num_classes, **arguments
    )
    if spec.channels != 3:
        _replace_first_convolution(network, spec.channels)
    return network


def build_resnet(spec: ModelSpec, name: str) -> nn.Module:
    """Build ResNet-18 or ResNet-50; small images get a 3x3 stride-1 stem and no max-pool (the CIFAR stem).

    At 32x32x3 and ten classes ResNet-18 takes 555.4 M multiply-accumulates forward.
    """
    network = build_torchvision(spec, name)
    if max(spec.image_size) <= SMALL_IMAGE:
        network.conv1 = _kaiming_convolution(nn.Conv2d(spec.channels, 64, 3, padding=1, bias=False))
        network.maxpool = nn.Identity()
    return network


def _replace_first_convolution(network: nn.Module, channels: int) -> None:
    name, old = next((name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d))
    new = nn.Conv2d(
        channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, _kaiming_convolution(new))


def _kaiming_convolution(convolution: nn.Conv2d) -> nn.Conv2d:
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return convolution
