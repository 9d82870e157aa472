"""What the headers of image files tell: no pixel is decoded."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from lottery_pipeline.images.decoding import FORMATS, differ_in_size, open_image
from lottery_pipeline.images.pixel_modes import GREY_MODES
from lottery_pipeline.images.request import ImageError
from lottery_pipeline.reproducibility.files import stat_regular

FILES_READ = 64
_ORIENTATION = 0x0112  # of EXIF
_TURNED = (5, 6, 7, 8)  # height and width change places


class _Header(NamedTuple):
    size: tuple[int, int]  # width and height, upright
    is_grey: bool


def read_shape(paths: Sequence[str], *, image_size: int | None, channels: int | None) -> tuple[int, int, int]:
    """Return channels, height and width of what ``decode_files`` makes, from the headers of some files.

    At most ``FILES_READ`` are opened, evenly spread over the list; the others may still differ.

    Args:
        paths: JPEG or PNG files, at least one.
        image_size: as for ``decode_files``.
        channels: as for ``decode_files``.

    Raises:
        ImageError: a file is broken, too large or of another size (it is named).
    """
    places = np.linspace(0, len(paths) - 1, min(len(paths), FILES_READ)).astype(int)
    chosen = [paths[place] for place in places]
    with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
        headers = [_read_header(path) for path in chosen]
    grey = all(header.is_grey for header in headers)
    number = channels or (1 if grey else 3)
    if image_size is not None:
        return number, image_size, image_size
    width, height = headers[0].size
    for path, header in zip(chosen, headers, strict=True):
        if header.size != (width, height):
            raise differ_in_size(path, header.size, chosen[0], (width, height))
    return number, height, width


def are_grey(paths: Sequence[str]) -> bool:
    """Whether all files are grey, as ``decode_files`` sees it; all are opened until one is not.

    Raises:
        ImageError: a file is broken or too large; it is named.
    """
    with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
        return all(_read_header(path).is_grey for path in paths)


def _read_header(path: str) -> _Header:
    try:
        stat_regular(path)
        with open_image(path, FORMATS) as image:
            # Pillow decodes a PNG to find its EXIF, which hardly any has.
            turned = image.format == "JPEG" and image.getexif().get(_ORIENTATION) in _TURNED
            width, height = image.size
            return _Header((height, width) if turned else (width, height), image.mode in GREY_MODES)
    except ImageError:
        raise
    except Exception as error:  # decoders raise almost anything on damaged bytes
        raise ImageError(f"{path} is not a readable JPEG or PNG image: {error}") from error
