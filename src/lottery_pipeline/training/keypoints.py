"""Keypoints: a heatmap for each point; squared error, and the share of points that are found (PCK)."""

import torch
from torch import Tensor

from lottery_pipeline.images.targets import POINTS_PER_PIXEL
from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.training.recipe import RecipeError

# A point is found if it is no farther off than this share of the longer side of the image.
RADIUS = 0.1
# Distances are added up in whole numbers of this part of a pixel, so that the order has no effect.
_DISTANCES_PER_PIXEL = 256


def loss(
    heatmaps: Tensor,
    labels: Tensor,
    size: tuple[int, int],
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """Return half the squared error of heatmaps, as in SuperTickets (arXiv 2207.03677).

    The error is a mean over points and cells; both sides are multiplied by the point's visibility, so a point
    that is not visible adds 0 and has no gradient.

    Args:
        heatmaps: float32 ``[B, J, h, w]``.
        labels: int64 ``[B, J, 3]``: x, y, visibility.
        size: height and width of the images in pixels.
        label_smoothing: must be 0.
        reduction: of the images: ``mean`` or ``sum``.

    Raises:
        RecipeError: there is label smoothing, which heatmaps do not have.
    """
    if label_smoothing:
        raise RecipeError(
            f"label_smoothing is {write_number(label_smoothing)}, but keypoints have no classes to smooth"
        )
    visible = labels[..., 2, None, None]
    wanted = draw_heatmaps(labels, size, (heatmaps.shape[2], heatmaps.shape[3]))
    value = 0.5 * ((heatmaps - wanted) * visible).square().mean()
    return value if reduction == "mean" else value * len(labels)


def draw_heatmaps(labels: Tensor, size: tuple[int, int], shape: tuple[int, int]) -> Tensor:
    """Draw a Gaussian of height 1 around every point.

    Its middle is the cell in which the point lies, so the peak is 1 exactly, as in the released code.

    Args:
        labels: int64 ``[B, J, 3]``.
        size: height and width of the images in pixels.
        shape: height and width of the heatmaps in cells.

    Returns:
        float32 ``[B, J, *shape]``.
    """
    columns, rows = find_cells(labels, size, shape)
    spread = 2 * heatmap_sigma(shape) ** 2
    across = torch.arange(shape[1], device=labels.device) - columns[..., None]
    down = torch.arange(shape[0], device=labels.device) - rows[..., None]
    return torch.exp(-(across.square()[..., None, :] + down.square()[..., None]) / spread)


def heatmap_sigma(shape: tuple[int, int]) -> float:
    """Return the standard deviation of the Gaussian for heatmaps of this height and width, in cells.

    A 32nd of the longer side: 2 for the published 64x48 cells. At least 1, because a narrower one leaves
    hardly a cell beside the peak.
    """
    return max(1.0, max(shape) / 32)


def find_cells(labels: Tensor, size: tuple[int, int], shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return column and row of the cell in which each point lies: int64 ``[B, J]`` each."""
    height, width = size
    columns = labels[..., 0] * shape[1] // (POINTS_PER_PIXEL * width)
    rows = labels[..., 1] * shape[0] // (POINTS_PER_PIXEL * height)
    return columns, rows


def locate_points(heatmaps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return where the heatmaps say the points are, in pixels.

    The middle of the highest cell, moved by a quarter of a cell towards its higher neighbour, across and down
    (as published; not at the border, where a neighbour is missing).

    Args:
        heatmaps: float32 ``[B, J, h, w]``.
        size: height and width of the images in pixels.

    Returns:
        float32 ``[B, J, 2]``: x and y.
    """
    rows, columns = heatmaps.shape[2:]
    flat = heatmaps.flatten(2)
    best = flat.argmax(2)
    x, y = best % columns, best // columns
    places = []
    for place, count, stride, pixels in ((x, columns, 1, size[1]), (y, rows, columns, size[0])):
        inside = (place > 0) & (place < count - 1)
        after, before = (
            flat.gather(2, (best + step).clamp(0, flat.shape[2] - 1)[..., None])[..., 0]
            for step in (stride, -stride)
        )
        quarter = 0.25 * torch.sign(after - before) * inside
        places.append((place + 0.5 + quarter) * (pixels / count))
    return torch.stack(places, dim=2)


def count(heatmaps: Tensor, labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Count the visible points and those found, and add up how far off they are.

    Returns:
        int64 ``[3]``: points found, points visible, distances in 256ths of a pixel.
    """
    visible = labels[..., 2]
    off = locate_points(heatmaps, size) - labels[..., :2] / POINTS_PER_PIXEL
    distances = off.square().sum(2).sqrt()
    found = (distances <= RADIUS * max(size)) * visible
    parts = (distances * _DISTANCES_PER_PIXEL).round().long() * visible
    return torch.stack([found.sum(), visible.sum(), parts.sum()])


def score(counts: Tensor, images: int = 0) -> dict[str, float]:  # noqa: ARG001 (all tasks are called alike)
    """Return PCK and the mean error of visible points.

    Args:
        counts: int64 ``[3]``, over all images at once.
        images: not needed; points are counted.

    Returns:
        ``accuracy``: the share of points within a tenth of the longer side (PCK). ``pixel_error``: the mean
        distance, in pixels.
    """
    found, visible, distance = counts.tolist()
    points = max(visible, 1)
    return {"accuracy": found / points, "pixel_error": distance / _DISTANCES_PER_PIXEL / points}
