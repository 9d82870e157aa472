"""MACs: multiply-accumulates of convolution and linear layers, forward, for one image.

Attention of a supernet also multiplies activations with each other; these products count beside the layers.

FLOPs are 2 per MAC. The work of training is counted in ``training_flops``.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from lottery_pipeline.models.normalisation import normalises_by_batch
from lottery_pipeline.models.supernet.attention import MultiHead, TokenAttention


def count_macs(model: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, int]:
    """Count the multiply-accumulates of each convolution and linear weight, and of products in attention.

    One black image goes through the model in evaluation mode, on the model's own device; on ``meta`` no
    arithmetic is done. (Two, where batch norm needs two, as it keeps no statistics; half of their
    multiply-accumulates are counted.) A layer that is called twice counts twice, one that is never called
    counts zero. In torch's attention layer only the output projection is counted, because only it is a linear
    layer. In an attention path of a supernet all is counted: queries times keys and shares times values too.

    Args:
        model: left unchanged: parameters, buffers, modes.
        image_shape: channels, height, width.

    Returns:
        MACs by parameter name (``network.fc.weight``), in module order; then those of activations with each
        other by ``<attention path>.products``.
    """
    layers, products = _counted_layers(model), _counted_products(model)
    macs = dict.fromkeys((*layers.values(), *products.values()), 0)

    def count(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(module, nn.MultiheadAttention):
            # It uses its projection's weight without calling the layer.
            macs[layers[module.out_proj]] += inputs[0].numel() * module.embed_dim
        elif isinstance(module, MultiHead):
            # Each number of each query meets every token twice: in its key and in its value.
            macs[products[module]] += 2 * inputs[0].numel() * inputs[1].shape[1]
        elif isinstance(module, nn.Linear | _ConvNd):
            macs[layers[module]] += _layer_macs(module, inputs[0], output)

    hooked = [
        module
        for module in model.modules()
        if module in layers or module in products or isinstance(module, nn.MultiheadAttention)
    ]
    handles = [module.register_forward_hook(count) for module in hooked]
    modes = {module: module.training for module in model.modules()}
    example, count_images = next(model.parameters()), 1 + normalises_by_batch(model)
    try:
        with torch.no_grad():
            images = torch.zeros(count_images, *image_shape, device=example.device, dtype=example.dtype)
            model.eval()(images)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes.items():
            module.training = training
    return {name: of_all // count_images for name, of_all in macs.items()}


def total_macs(macs: Mapping[str, int]) -> int:
    """Return the MACs of all layers together."""
    return sum(macs.values())


def theoretical_macs(macs: Mapping[str, int], masks: Mapping[str, Tensor]) -> int:
    """Return the MACs that remain if every pruned weight could be skipped.

    Args:
        macs: what ``count_macs`` returned.
        masks: layers without a mask count in full.

    Returns:
        Sum over layers of MACs times density, rounded per layer.
    """
    total = 0
    for name, count in macs.items():
        mask = masks.get(name)
        total += count if mask is None else round(Fraction(count * int(mask.count_nonzero()), mask.numel()))
    return total


def _counted_layers(model: nn.Module) -> dict[nn.Module, str]:
    """Return the name of each layer's weight; layers that share a weight share its first name."""
    first_names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        module: first_names.get(id(module._parameters.get("weight")), f"{name}.weight")
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | _ConvNd)
    }


def _counted_products(model: nn.Module) -> dict[nn.Module, str]:
    """Return the name under which the products of each attention are counted: one for each attention path."""
    return {
        attention: f"{name}.products"
        for name, path in model.named_modules()
        if isinstance(path, TokenAttention)
        for attention in path.modules()
        if isinstance(attention, MultiHead)
    }


def _layer_macs(module: nn.Linear | _ConvNd, images: Tensor, output: Tensor) -> int:
    weight = module.weight
    # Per output value a linear layer or convolution reads one row of its weight [out, ...]; a transposed
    # convolution spreads each input value over one row of its weight [in, ...].
    driving = images if isinstance(module, _ConvTransposeNd) else output
    return driving.numel() * (weight.numel() // weight.shape[0])
