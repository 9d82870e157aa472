"""``digits``: the 1,797 handwritten 8x8 digits that come with scikit-learn."""

import numpy as np

from lottery_pipeline.images.labelled import LabelledImages, Source
from lottery_pipeline.images.request import ImageRequest

HIGHEST_VALUE = 16


def find_digits(request: ImageRequest) -> Source:
    """Return the digits; there are no files to find, as they are part of an installed package."""
    return Source("", lambda _seed: _load(request))


def _load(request: ImageRequest) -> LabelledImages:
    import torch
    from sklearn.datasets import load_digits

    from lottery_pipeline.images.conversion import fit_images

    digits = load_digits()
    pixels = torch.from_numpy(np.rint(digits.images * (255 / HIGHEST_VALUE)).astype(np.uint8)[:, None])
    return LabelledImages(
        tuple(str(name) for name in digits.target_names),
        digits.target.astype(np.int64),
        len(digits.target),
        lambda indices: fit_images(
            pixels, image_size=request.image_size, channels=request.channels, indices=indices
        ),
    )
