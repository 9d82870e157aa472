"""Slow, plain twins of ``lottery_pipeline.training.keypoints``: one joint and one cell at a time."""

import math

from torch import Tensor


def loss_naively(heatmaps: Tensor, labels: Tensor, size: tuple[int, int], sigma: float) -> float:
    """Mean over images, joints and cells of half the squared error; hidden joints count 0."""
    total = 0.0
    for image, points in zip(heatmaps.tolist(), labels.tolist(), strict=True):
        for heatmap, (x, y, visible) in zip(image, points, strict=True):
            rows, columns = len(heatmap), len(heatmap[0])
            column, row = math.floor(x / 16 * columns / size[1]), math.floor(y / 16 * rows / size[0])
            for i in range(rows):
                for j in range(columns):
                    squared = (i - row) ** 2 + (j - column) ** 2
                    wanted = math.exp(-squared / (2 * sigma**2))
                    total += 0.5 * (heatmap[i][j] - wanted) ** 2 * visible
    return total / heatmaps.numel()


def locate_naively(heatmap: list[list[float]], size: tuple[int, int]) -> tuple[float, float]:
    """x and y in pixels of the highest cell, a quarter of a cell towards the higher neighbour."""
    rows, columns = len(heatmap), len(heatmap[0])
    best = max(range(rows * columns), key=lambda cell: heatmap[cell // columns][cell % columns])
    row, column = divmod(best, columns)
    x, y = column + 0.5, row + 0.5
    if 0 < column < columns - 1:
        difference = heatmap[row][column + 1] - heatmap[row][column - 1]
        x += math.copysign(0.25, difference) if difference else 0
    if 0 < row < rows - 1:
        difference = heatmap[row + 1][column] - heatmap[row - 1][column]
        y += math.copysign(0.25, difference) if difference else 0
    return x * size[1] / columns, y * size[0] / rows
