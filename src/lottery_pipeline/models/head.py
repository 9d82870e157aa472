"""The head of a network: the linear layer that gives the logits. What it reads are the features."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lottery_pipeline.models.names import ModelError


def find_head(model: nn.Module, images: Tensor) -> str:
    """Return the name of the last linear layer that runs and has one output per class.

    Args:
        model: pixels in [0, 1] -> logits [N, classes]; its modes are restored.
        images: [N, C, H, W] on the model's device; two are enough.

    Raises:
        ModelError: there is none, as where a convolution gives the logits.
    """
    modes = {module: module.training for module in model.modules()}
    ran: list[str] = []

    def note(name: str) -> Callable[..., None]:
        return lambda *_: ran.append(name)

    layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    handles = [module.register_forward_hook(note(name)) for name, module in layers.items()]
    try:
        with torch.no_grad():
            classes = model.eval()(images).shape[1]
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes.items():
            module.training = training
    heads = [name for name in ran if layers[name].out_features == classes]
    if not heads:
        raise ModelError(
            "the logits of this network do not come from a linear layer with one output per class"
        )
    return heads[-1]


def read_features(model: nn.Module, head: str, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits [N, classes] of images and the features [N, width] that the head reads."""
    read: list[Tensor] = []
    handle = model.get_submodule(head).register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    try:
        logits = model(images)
    finally:
        handle.remove()
    return logits, read[-1].flatten(1)
