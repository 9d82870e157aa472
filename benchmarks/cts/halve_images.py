"""Halve the sides of a folder of images by averaging 2x2 pixels, as the setting `average_16` wants them.

    python -m benchmarks.cts.halve_images FOLDER NEW_FOLDER

It prepares images and measures nothing. The pipeline's own `data.image_size` resizes with an antialiased
bilinear filter, which is softer.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image


def main() -> None:
    """Write every image of a folder as a PNG of half its sides to the same place in another."""
    source, target = map(Path, sys.argv[1:])
    for path in sorted(source.rglob("*.jpg")):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
        height, width, channels = pixels.shape
        halved = pixels.reshape(height // 2, 2, width // 2, 2, channels).mean((1, 3))
        place = (target / path.relative_to(source)).with_suffix(".png")
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(halved.round().astype(np.uint8)).save(place)


if __name__ == "__main__":
    main()
