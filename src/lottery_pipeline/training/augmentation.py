"""Augmentation of whole batches: pad once, then crop and flip uint8 images on the device."""

import numpy as np
import torch
from torch import Tensor

from lottery_pipeline.images.targets import POINTS_PER_PIXEL, lies_inside
from lottery_pipeline.training.recipe import RecipeError


def pad_images(
    images_nhwc: Tensor, padding: int, mode: str, *, mirrored: bool = False, fill: int = 0
) -> Tensor:
    """Copy images with ``padding`` more pixels on each side.

    Args:
        images_nhwc: uint8 [N, H, W, C].
        padding: pixels.
        mode: ``zero``, or ``reflect`` (mirrored without repeating the edge pixel).
        mirrored: append a mirrored copy of every image, left and right swapped.
        fill: value of the padding in mode ``zero``: that of images, or of masks that have no class there.

    Returns:
        uint8 [N, H + 2 padding, W + 2 padding, C], or 2 N of them; contiguous.

    Raises:
        RecipeError: the image is too small to reflect that many pixels.
    """
    count, height, width, channels = images_nhwc.shape
    if mode == "reflect" and padding >= min(height, width):
        raise RecipeError(
            f"crop_padding {padding} with crop_mode 'reflect' needs images larger than {padding} pixels, "
            f"but these are {height}x{width}"
        )
    shape = (count * (1 + mirrored), height + 2 * padding, width + 2 * padding, channels)
    if images_nhwc.device.type == "cpu":
        # NumPy asks the system for huge pages and torch does not; they make random reads miss fewer
        # addresses.
        images = torch.from_numpy(np.empty(shape, dtype=np.uint8)).fill_(fill)
    else:
        images = images_nhwc.new_full(shape, fill)
    padded = images[:count]
    padded[:, padding : padding + height, padding : padding + width] = images_nhwc
    if mode == "reflect":
        bottom, right = padding + height - 1, padding + width - 1
        for distance in range(1, padding + 1):
            padded[:, padding - distance] = padded[:, padding + distance]
            padded[:, bottom + distance] = padded[:, bottom - distance]
        for distance in range(1, padding + 1):
            padded[:, :, padding - distance] = padded[:, :, padding + distance]
            padded[:, :, right + distance] = padded[:, :, right - distance]
    if mirrored:
        images[count:] = padded.flip(2)
    return images


class Crops:
    """Crops of padded images, a batch at a time.

    Pixels are numbered consecutively across all padded images. A crop is the contiguous run of bytes from its
    first to its last pixel; a strided view of the run shows the H rows of W pixels. So a batch of crops is a
    single indexing that copies runs and computes nothing.
    """

    def __init__(self, padded_nhwc: Tensor, height: int, width: int) -> None:
        count, padded_height, padded_width, channels = padded_nhwc.shape
        self._row = padded_width
        self._image = padded_height * padded_width
        pixels = (height - 1) * padded_width + width
        self._run = pixels * channels
        runs = count * self._image - pixels + 1
        self._runs = padded_nhwc.as_strided((runs, self._run), (channels, 1))
        self._shape = (height, width, channels)
        self._strides = (self._run, padded_width * channels, channels, 1)

    def locate(self, indices: Tensor, tops: Tensor, lefts: Tensor) -> Tensor:
        """Turn image indices and crop corners in pixels (int64 [n]) into the numbers of first pixels."""
        return indices * self._image + tops * self._row + lefts

    def take(self, first_pixels: Tensor) -> Tensor:
        """Copy the crops that begin at these pixels: uint8 [n, H, W, C], rows not contiguous."""
        runs = self._runs.index_select(0, first_pixels)
        return runs.as_strided((len(first_pixels), *self._shape), self._strides)


def fill_floats_(buffer: Tensor, images_nhwc: Tensor, flips: int | Tensor = 0) -> Tensor:
    """Write uint8 images into a float buffer and mirror the first ones left to right.

    Args:
        buffer: float32 [N or more, H, W, C].
        images_nhwc: uint8 [N, H, W, C], any strides.
        flips: how many images are mirrored, counted from the first; as a tensor, [1], nothing waits for it.

    Returns:
        The first N images of the buffer, values 0..255.
    """
    floats = buffer[: len(images_nhwc)]
    if isinstance(flips, Tensor):
        floats.copy_(flip_first(images_nhwc, flips))
    elif flips:
        floats[flips:].copy_(images_nhwc[flips:])
        floats[:flips].copy_(images_nhwc[:flips].flip(2))
    else:
        floats.copy_(images_nhwc)
    return floats


def flip_first(images: Tensor, flips: Tensor) -> Tensor:
    """Mirror the first ``flips`` ([1]) of images or masks, [N, H, W, ...], left to right."""
    first = torch.arange(len(images), device=images.device) < flips
    return torch.where(first.view(-1, *[1] * (images.dim() - 1)), images.flip(2), images)


def move_points(points: Tensor, tops: Tensor, lefts: Tensor, padding: int, size: tuple[int, int]) -> Tensor:
    """Move points with the crops of their images; what leaves the image is no longer visible.

    Args:
        points: int64 [N, J, 3]: x, y, visibility.
        tops: upper edges of the crops in the padded images, in pixels: int64 [N].
        lefts: their left edges.
        padding: of the images, in pixels.
        size: height and width of the crops.
    """
    shifts = POINTS_PER_PIXEL * (padding - torch.stack([lefts, tops], dim=1)).to(points.device)
    moved = points.clone()
    moved[..., :2] += shifts[:, None]
    moved[..., 2] *= lies_inside(moved, size)
    return moved


def to_pixels(images_nhwc: Tensor) -> Tensor:
    """Turn uint8 [N, H, W, C] into float32 pixels in [0, 1], [N, C, H, W] in channels-last memory."""
    return images_nhwc.to(torch.float32).mul_(1 / 255).permute(0, 3, 1, 2)
