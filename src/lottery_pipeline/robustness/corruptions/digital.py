"""Digital corruptions: contrast, coarse pixels and JPEG."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image

from lottery_pipeline.robustness.corruptions.pixels import to_bytes, to_unit

CONTRASTS = (0.75, 0.50, 0.40, 0.30, 0.15)
PIXEL_SCALES = (0.95, 0.90, 0.85, 0.75, 0.65)
JPEG_QUALITIES = (80, 65, 58, 50, 40)


def contrast(images: np.ndarray, severity: int) -> np.ndarray:
    """Pull each channel towards its mean over the image; images are uint8 ``[N, H, W, C]``."""
    places = images.shape[1] * images.shape[2]
    # The sum of whole numbers is exact, so an image alone and in a batch has the same mean.
    mean = images.sum(axis=(1, 2), keepdims=True, dtype=np.int64) / (255 * places)
    return to_bytes((to_unit(images) - mean) * CONTRASTS[severity - 1] + mean)


def pixelate(images: np.ndarray, severity: int) -> np.ndarray:
    """Shrink and enlarge again, both by averaging boxes; images are uint8 ``[N, H, W, C]``."""
    _, height, width, _ = images.shape
    scale = PIXEL_SCALES[severity - 1]
    small = (int(width * scale), int(height * scale))
    pictures = (_to_picture(image).resize(small, Image.Resampling.BOX) for image in images)
    return _stack([picture.resize((width, height), Image.Resampling.BOX) for picture in pictures], images)


def jpeg_compression(images: np.ndarray, severity: int) -> np.ndarray:
    """Write and read back as JPEG; images are uint8 ``[N, H, W, C]``. Bytes depend on Pillow's libjpeg."""
    pictures = []
    for image in images:
        file = BytesIO()
        _to_picture(image).save(file, "JPEG", quality=JPEG_QUALITIES[severity - 1])
        pictures.append(Image.open(file))
    return _stack(pictures, images)


def _to_picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def _stack(pictures: Sequence[Image.Image], images: np.ndarray) -> np.ndarray:
    return np.stack([np.asarray(picture) for picture in pictures]).reshape(images.shape)
