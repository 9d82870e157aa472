"""Corruptions pixel by pixel, in plain loops or by scipy's own interpolation, for one image ``[H, W, C]``."""

import colorsys
import math

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, zoom


def cut_off(values: np.ndarray) -> np.ndarray:
    return np.floor(np.clip(values, 0, 1) * 255 + 1e-6).astype(np.uint8)


def defocus_naive(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve with a symmetric kernel; the border is mirrored without the border pixel itself."""
    reach = len(kernel) // 2
    padded = np.pad(image / 255, [(reach, reach), (reach, reach), (0, 0)], mode="reflect")
    height, width, _ = image.shape
    result = np.zeros(image.shape)
    for row in range(height):
        for column in range(width):
            window = padded[row : row + len(kernel), column : column + len(kernel)]
            result[row, column] = (window * kernel[:, :, None]).sum((0, 1))
    return cut_off(result)


def glass_naive(image: np.ndarray, moves: np.ndarray, deviation: float) -> np.ndarray:
    """Copy pixels one after another, from the last to the first; moves are ``[rounds, 2, H, W]``."""

    def blur(pixels):
        planes = [
            gaussian_filter(pixels[..., c] / 255, deviation, mode="nearest") for c in range(pixels.shape[2])
        ]
        return cut_off(np.stack(planes, axis=-1))

    pixels = blur(image)
    height, width, _ = image.shape
    for down, right in moves:
        for row in range(height - 1, 1, -1):
            for column in range(width - 1, 1, -1):
                pixels[row, column] = pixels[row + down[row, column], column + right[row, column]]
    return blur(pixels)


def motion_naive(image: np.ndarray, angle: float, radius: int, deviation: float) -> np.ndarray:
    height, width, channels = image.shape
    weights = [math.exp(-(step**2) / (2 * deviation**2)) for step in range(2 * radius + 1)]
    result = np.zeros(image.shape, dtype=np.uint8)
    for row in range(height):
        for column in range(width):
            for channel in range(channels):
                total = 0.0
                for step, weight in enumerate(weights):
                    below = row + math.ceil(step * math.sin(angle) - 0.5)
                    beside = column + math.ceil(step * math.cos(angle) - 0.5)
                    place = min(max(below, 0), height - 1), min(max(beside, 0), width - 1)
                    total += weight / sum(weights) * float(image[(*place, channel)])
                result[row, column, channel] = round(total)
    return result


def zoom_naive(image: np.ndarray, zooms: list[float]) -> np.ndarray:
    """Average a square image with itself, enlarged by scipy about its middle."""
    size, pixels = len(image), image / 255
    total = pixels.copy()
    for factor in zooms:
        cropped = math.ceil(size / factor)
        top = (size - cropped) // 2
        middle = pixels[top : top + cropped, top : top + cropped]
        large = zoom(middle, (factor, factor, 1), order=1, mode="nearest")
        trim = (len(large) - size) // 2
        total += large[trim : trim + size, trim : trim + size]
    return cut_off(total / (len(zooms) + 1))


def heights_naive(draws: np.ndarray, decay: float) -> np.ndarray:
    """Diamond and square point by point on a torus; draws ``[S * S - 1]`` in the order of use."""
    side = round(math.sqrt(len(draws) + 1))
    heights = np.zeros((side, side))
    numbers = iter(draws)
    step, weight = side, 100.0
    while step >= 2:
        half = step // 2

        def point(row, column):
            return heights[row % side, column % side]

        for row in range(half, side, step):
            for column in range(half, side, step):
                ends = [point(row + a, column + b) for a in (-half, half) for b in (-half, half)]
                heights[row, column] = sum(ends) / 4 + weight**2 * next(numbers)
        for first_row, first_column in ((0, half), (half, 0)):
            for row in range(first_row, side, step):
                for column in range(first_column, side, step):
                    moves = ((-half, 0), (half, 0), (0, -half), (0, half))
                    ends = [point(row + a, column + b) for a, b in moves]
                    heights[row, column] = sum(ends) / 4 + weight**2 * next(numbers)
        step, weight = half, weight / decay
    return (heights - heights.min()) / (heights.max() - heights.min())


def brightness_naive(image: np.ndarray, amount: float) -> np.ndarray:
    """Through hue, saturation and value, with the standard library."""
    result = np.zeros(image.shape)
    for row, column in np.ndindex(*image.shape[:2]):
        hue, saturation, value = colorsys.rgb_to_hsv(*(image[row, column] / 255))
        result[row, column] = colorsys.hsv_to_rgb(hue, saturation, min(value + amount, 1))
    return cut_off(result)


def elastic_naive(
    image: np.ndarray, corner_draws: np.ndarray, draws: np.ndarray, strength: float, smoothness: float
) -> np.ndarray:
    """Affine map forwards, inverted; then a displacement; both with scipy's interpolation."""
    height, width, channels = image.shape
    middle, half = np.array([width // 2, height // 2]), min(height, width) // 3
    corners = np.array([middle + move for move in half * np.array([[1, 1], [1, -1], [-1, -1]])])
    forwards = np.linalg.solve(np.c_[corners, np.ones(3)], corners + corner_draws).T
    back = np.linalg.inv(np.vstack([forwards, [0, 0, 1]]))
    rows, columns = np.mgrid[:height, :width].astype(float)
    x, y = (back[index, 0] * columns + back[index, 1] * rows + back[index, 2] for index in (0, 1))
    down, right = (gaussian_filter(draw, smoothness, mode="reflect", truncate=3) * strength for draw in draws)
    planes = []
    for channel in range(channels):
        moved = map_coordinates(image[..., channel] / 255, [y, x], order=1, mode="mirror")
        planes.append(map_coordinates(moved, [rows + down, columns + right], order=1, mode="reflect"))
    return cut_off(np.stack(planes, axis=-1))
