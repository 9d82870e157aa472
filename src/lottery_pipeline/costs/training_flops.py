"""Training FLOPs: counted over one forward and backward pass, never assumed to be three forward passes.

The first layer needs no gradient of its images, and a frozen weight needs none of its own. So training costs
less than three forward passes; how much less depends on the network.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from lottery_pipeline.reproducibility.seeds import seeded_draws

_BATCH = 2  # batch norm needs two images where a feature map has one pixel


def count_training_flops(model: nn.Module, image_shape: tuple[int, int, int], batch_size: int) -> int:
    """Count the FLOPs of one step in training mode: forward, cross-entropy, backward; without the optimiser.

    Counted by torch's ``FlopCounterMode``: 2 per multiply-add of convolutions, matrix products and attention,
    from shapes alone, so zeros count as work; biases, norms and activations do not count. (Its own count of a
    grouped convolution's weight gradient is too high by the number of groups; ours is used.) The pass is done
    on a copy on the model's own device; on ``meta`` no arithmetic is done.

    Args:
        model: images [N, C, H, W] to logits [N, classes, ...]; left unchanged.
        image_shape: channels, height, width.
        batch_size: N.

    Returns:
        FLOPs of the whole batch.
    """
    model = copy.deepcopy(model).train()
    example = next(model.parameters())
    images = torch.zeros(batch_size, *image_shape, device=example.device, dtype=example.dtype)
    counter = FlopCounterMode(
        display=False, custom_mapping={torch.ops.aten.convolution_backward: _count_convolution_backward}
    )
    devices = [example.device] if example.device.type == "cuda" else []
    # Seeds for dropout; fused attention of a CPU would not be counted.
    drawn = (seeded_draws(0), torch.random.fork_rng(devices=devices), sdpa_kernel(SDPBackend.MATH))
    with drawn[0], drawn[1], drawn[2], torch.enable_grad(), counter:
        logits = model(images)
        labels = torch.zeros_like(logits[:, 0], dtype=torch.long)
        cross_entropy(logits, labels).backward()
    return counter.get_total_flops()


def _count_convolution_backward(
    gradient: Sequence[int],
    images: Sequence[int],
    weight: Sequence[int],
    _bias: Any,
    _stride: Any,
    _padding: Any,
    _dilation: Any,
    transposed: bool,
    _output_padding: Any,
    _groups: Any,
    wanted: Sequence[bool],
    **_: Any,
) -> int:
    """Count what the gradients of images and weight take: each as much as the forward pass."""
    driving = images if transposed else gradient
    forward = 2 * images[0] * math.prod(driving[2:]) * math.prod(weight)
    return forward * (wanted[0] + wanted[1])


def count_training_macs(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Return the multiply-accumulates of training on one image, forward and backward.

    Half the FLOPs of ``count_training_flops``, which grow in proportion to the batch.
    """
    return count_training_flops(model, image_shape, _BATCH) // (2 * _BATCH)
