"""Where images come from: one finder per source, chosen by name (no torch until pixels are read)."""

from lottery_pipeline.images.arrays import find_arrays
from lottery_pipeline.images.canvases import find_canvases
from lottery_pipeline.images.dense_sets import find_dense_set
from lottery_pipeline.images.digits import find_digits
from lottery_pipeline.images.folder import find_folder
from lottery_pipeline.images.labelled import Source
from lottery_pipeline.images.request import DENSE_SETS, ImageRequest
from lottery_pipeline.images.torchvision_sets import find_torchvision_set

FINDERS = {
    "digits": find_digits,
    "canvases": find_canvases,
    "torchvision": find_torchvision_set,
    **dict.fromkeys(DENSE_SETS, find_dense_set),
    "image_folder": find_folder,
    "arrays": find_arrays,
}


def find_source(request: ImageRequest) -> Source:
    """Find the files behind a request and check what can be checked without decoding.

    Raises:
        ImageError: they are missing or do not fit the request.
    """
    find = FINDERS.get(request.source) or FINDERS[request.source.partition(":")[0]]
    return find(request)


def check_request(request: ImageRequest) -> None:
    """Raise before any work if the images of a request are missing or cannot be used.

    Raises:
        ImageError: one sentence that says what is wrong, where, and what is allowed.
    """
    find_source(request)
