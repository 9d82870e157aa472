"""``canvases``: one to four handwritten digits on a cluttered square, with class, mask and points.

Made for SuperTickets (arXiv 2207.03677), and needing no download: each canvas carries the labels of all three
tasks, so a ticket can move to another task while the pixels stay the same.
"""

from typing import TYPE_CHECKING

import numpy as np

from lottery_pipeline.images.digits import find_digits
from lottery_pipeline.images.labelled import LabelledImages, Partition, Source
from lottery_pipeline.images.memory import check_memory
from lottery_pipeline.images.request import ImageRequest

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 32  # pixels, unless the request has a size
CANVASES_PER_DIGIT = 4  # so many canvases have a given digit as their largest
POINT_NAMES = ("upper left", "upper right", "lower right", "lower left", "centre")
_BYTES_PER_PIXEL = 11  # three of the image, eight of the mask


def find_canvases(request: ImageRequest) -> Source:
    """Return the canvases; there are no files to find, as the digits are part of an installed package."""
    return Source("", lambda seed: _load(request, seed))


def _load(request: ImageRequest, seed: int) -> LabelledImages:
    """Split the digits first: a canvas shows digits of its own part only.

    Canvas 4 d + c has digit d as its largest, which gives it its class. What else is on it depends on the
    seed, its number and the digits of its part, not on how many canvases are asked for.
    """
    from lottery_pipeline.images.partition import partition_images

    digits = find_digits(ImageRequest()).load(seed)
    parts = partition_images(digits, request.model_copy(update={"train_limit": None}), seed=seed)
    side = request.image_size or SIDE
    part_of_digit = np.zeros(len(digits.labels), dtype=np.int64)
    for number, part in enumerate(parts):
        part_of_digit[part] = number
    # What the outputs of a network are, and the place of the targets among what is composed.
    dense = {"segmentation": (("background", *digits.class_names), 1), "keypoints": (POINT_NAMES, 2)}
    names, place = dense.get(request.task, ((), 0))

    def read_both(indices: np.ndarray) -> "tuple[Tensor, Tensor]":
        from lottery_pipeline.images.canvas_drawing import compose_canvases
        from lottery_pipeline.images.conversion import fit_images

        size = len(indices) * side**2 * _BYTES_PER_PIXEL
        check_memory(size, f"{len(indices)} canvases of {side}x{side} pixels")
        largest = indices // CANVASES_PER_DIGIT
        pools = [parts[part] for part in part_of_digit[largest].tolist()]
        ink = digits.read(np.arange(len(digits.labels)))[:, 0].numpy()
        composed = compose_canvases(ink, digits.labels, indices, largest, pools, side=side, seed=seed)
        return fit_images(composed[0], image_size=None, channels=request.channels), composed[place]

    copies = np.arange(CANVASES_PER_DIGIT)
    return LabelledImages(
        digits.class_names,
        np.repeat(digits.labels, CANVASES_PER_DIGIT),
        CANVASES_PER_DIGIT * len(digits.labels),
        lambda indices: read_both(indices)[0],
        target_names=names,
        read_both=read_both if names else None,
        partition=Partition(*((CANVASES_PER_DIGIT * part[:, None] + copies).reshape(-1) for part in parts)),
    )
