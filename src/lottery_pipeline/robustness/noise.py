"""Start noise of an attack: it belongs to the image, so every network is attacked from the same points."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lottery_pipeline.images.balls import draw_unit_ball
from lottery_pipeline.options.robustness import Norm
from lottery_pipeline.reproducibility.seeds import make_generator


def draw_noise(indices: Tensor, shape: Sequence[int], norm: Norm, *, seed: int, restart: int) -> Tensor:
    """Draw a point of the unit ball for each image, uniformly.

    The point depends on the seed, the restart and the image's index alone: not on the network, nor on the
    other images of the batch.

    Args:
        indices: int64 ``[N]``, the places of the images in their set.
        shape: of an image, ``(C, H, W)``.
        norm: of the ball.
        seed: of the attack.
        restart: counted from 0.

    Returns:
        float32 ``[N, C, H, W]`` on the CPU.
    """
    points = torch.empty(len(indices), *shape)
    for number, index in enumerate(indices.tolist()):
        generator = make_generator(seed, "start", restart, index)
        points[number] = draw_unit_ball(points[number : number + 1], norm, generator)[0]
    return points
