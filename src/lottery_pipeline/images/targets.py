"""What is known of each image: a class, a class for each pixel, or points."""

import torch
from torch import Tensor

from lottery_pipeline.images.request import ImageError
from lottery_pipeline.images.stored import StoredImages
from lottery_pipeline.options.task import TaskName

IGNORED = 255  # a pixel that belongs to no class; neither loss nor metric counts it
POINTS_PER_PIXEL = 16  # points are whole numbers of sixteenths of a pixel
FARTHEST = 2**15  # pixels from the corner of its image to a point; hidden ones lie outside, too


def find_task(labels: Tensor, images: Tensor | StoredImages) -> TaskName:
    """Return the task that the shape of the labels stands for.

    Args:
        labels: int64 ``[N]``: classes. ``[N, H, W]``: the class of each pixel, or 255 for none.
            ``[N, J, 3]``: x, y and visibility (1 or 0) of J points, in sixteenths of a pixel from the upper
            left corner of the image; the middle of the first pixel is (8, 8).
        images: uint8 ``[N, C, H, W]``.

    Raises:
        ImageError: the labels do not fit the images.
    """
    count, _, height, width = images.shape
    shape = tuple(labels.shape)
    if labels.dtype == torch.int64 and shape[:1] == (count,):
        if len(shape) == 1:
            return "classification"
        if shape[1:] == (height, width):
            return "segmentation"
        if len(shape) == 3 and shape[1] > 0 and shape[2] == 3:
            return "keypoints"
    raise ImageError(
        f"labels must be int64 of shape [{count}], [{count}, {height}, {width}] or [{count}, points, 3], "
        f"got {labels.dtype} of shape {shape}"
    )


def find_fault(task: TaskName, labels: Tensor, outputs: int, image_size: tuple[int, int]) -> str:
    """Say what labels of a task must be and are not; an empty text if all is well.

    Args:
        task: what the labels are of.
        labels: of its shape, at least one.
        outputs: number of classes or points.
        image_size: height and width in pixels.
    """
    if task == "keypoints":
        return _find_fault_of_points(labels, outputs, image_size)
    least, most = int(labels.min()), int(labels.max())
    if task == "classification":
        return "" if 0 <= least <= most < outputs else f"must be from 0 to {outputs - 1}"
    if outputs > IGNORED:
        return f"of pixels must be of {IGNORED} classes at most, not of {outputs}"
    wrong = (labels < 0) | ((labels >= outputs) & (labels != IGNORED))
    if bool(wrong.any()):
        return f"of pixels must be from 0 to {outputs - 1}, or {IGNORED} for none"
    return "must have a pixel with a class" if least == IGNORED else ""


def _find_fault_of_points(labels: Tensor, outputs: int, image_size: tuple[int, int]) -> str:
    if labels.shape[1] != outputs:
        return f"must have {outputs} points for each image, not {labels.shape[1]}"
    places, visible, farthest = labels[..., :2], labels[..., 2], POINTS_PER_PIXEL * FARTHEST
    if not -farthest <= int(places.min()) <= int(places.max()) <= farthest:
        return f"must have every point within {FARTHEST} pixels"
    if not 0 <= int(visible.min()) <= int(visible.max()) <= 1:
        return "must have the visibility 0 or 1 for every point"
    if bool((visible.bool() & ~lies_inside(labels, image_size)).any()):
        return "must have every visible point inside its image"
    return "" if bool(visible.any()) else "must have a visible point"


def lies_inside(points: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Return which points ``[..., 3]`` lie inside an image of this height and width: bool ``[...]``."""
    height, width = image_size
    x, y = points[..., 0], points[..., 1]
    return (x >= 0) & (x < POINTS_PER_PIXEL * width) & (y >= 0) & (y < POINTS_PER_PIXEL * height)
