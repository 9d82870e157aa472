"""Files of a folder that are decoded a few at a time, and look as if they had been decoded all at once."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from lottery_pipeline.images.decoding import decode_files, differ_in_size
from lottery_pipeline.images.headers import are_grey, read_shape
from lottery_pipeline.images.labelled import Pieces
from lottery_pipeline.images.request import ImageRequest


def find_pieces(paths: Sequence[str], indices: np.ndarray, request: ImageRequest) -> Pieces:
    """Find the shape that all images have, and return how some of them are decoded.

    Args:
        paths: of all files.
        indices: of those that will be read; if the others are not grey, that does not matter.
        request: size and channels.

    Raises:
        ImageError: a header is broken, or an image has another size; it is named.
    """
    files = [paths[index] for index in indices]
    shape = read_shape(files, image_size=request.image_size, channels=request.channels)
    if request.channels is None and shape[0] == 1 and not are_grey(files):
        shape = (3, *shape[1:])
    _, height, width = shape

    def read(chosen: np.ndarray) -> Tensor:
        some = [paths[index] for index in chosen]
        images = decode_files(some, image_size=request.image_size, channels=shape[0], report=False)
        if images.shape[1:] != shape:
            size = images.shape[3], images.shape[2]
            raise differ_in_size(some[0], size, files[0], (width, height))
        return images

    return Pieces(shape, read)
