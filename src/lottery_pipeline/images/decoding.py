"""JPEG and PNG files of any size and mode, decoded in parallel into one uint8 tensor."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from lottery_pipeline.images.memory import check_memory
from lottery_pipeline.images.progress import report_progress
from lottery_pipeline.images.request import ImageError
from lottery_pipeline.reproducibility.files import stat_regular

FORMATS = ("JPEG", "PNG")
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N"})
WIDE_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
MAX_PIXELS = 89_478_485  # 1/4 GiB at three bytes each; Pillow warns above this and refuses above twice this
FILES_PER_TASK = 64
# A smaller file costs more time in the interpreter, which has one lock, than in the decoder. On 2 cores, two
# threads took 187 us for a 32-pixel JPEG (1 kB) and one took 124; for 1000 pixels (57 kB) two threads took
# 501 and one took 865 (Pillow 13.0, Python 3.11).
SMALL_FILE_BYTES = 16 * 1024
FILES_SAMPLED = 64


def decode_files(paths: Sequence[str], *, image_size: int | None, channels: int | None) -> Tensor:
    """Decode files in parallel into one preallocated tensor.

    It uses threads, not processes: Pillow decodes and resizes outside the interpreter lock, and threads write
    into the same tensor and cost nothing to start. Small files are decoded by one thread, which is faster.

    Args:
        paths: JPEG or PNG files, at least one.
        image_size: side to resize to; ``None``: all images must have one size.
        channels: 1 or 3; ``None``: 1 if every image is grey, else 3.

    Returns:
        uint8 ``[N, C, H, W]``, contiguous, in the order of ``paths``.

    Raises:
        ImageError: a file is broken, too large or of another size (it is named), or the images do not fit in
            memory.
    """
    width, height = decode_file(paths[0], image_size)[0].size
    shape = (len(paths), channels or 3, height, width)
    check_memory(int(np.prod(shape, dtype=object)), f"{len(paths)} images of {width}x{height} pixels")
    pixels = np.empty(shape, dtype=np.uint8)

    def decode_some(start: int) -> tuple[int, bool]:
        chunk = paths[start : start + FILES_PER_TASK]
        all_grey = True
        for index, path in enumerate(chunk, start):
            image, is_grey = decode_file(path, image_size)
            if image.size != (width, height):
                raise ImageError(
                    f"{path} is {image.width}x{image.height} pixels and {paths[0]} is {width}x{height}: "
                    "set data.image_size to bring all images to one size"
                )
            _write_pixels(image, pixels[index])
            all_grey &= is_grey
        return len(chunk), all_grey

    all_grey = True

    def finished(pool: ThreadPoolExecutor) -> Iterator[int]:
        nonlocal all_grey
        for count, grey in pool.map(decode_some, range(0, len(paths), FILES_PER_TASK)):
            all_grey &= grey
            yield count

    pool = ThreadPoolExecutor(max_workers=_count_workers(paths), thread_name_prefix="decode")
    try:
        report_progress(finished(pool), total=len(paths), label="decoding images")
    finally:
        pool.shutdown(cancel_futures=True)
    tensor = torch.from_numpy(pixels)
    return tensor[:, :1].contiguous() if channels is None and all_grey else tensor


def _count_workers(paths: Sequence[str]) -> int:
    sample = paths[:: max(1, len(paths) // FILES_SAMPLED)]
    mean_bytes = sum(Path(path).stat().st_size for path in sample) / len(sample)
    return 1 if mean_bytes < SMALL_FILE_BYTES else os.cpu_count() or 1


def decode_file(path: str, image_size: int | None) -> tuple[Image.Image, bool]:
    """Decode one file to mode L or RGB, upright, transparency over white, 16 bits rounded to 8.

    Args:
        path: a JPEG or PNG file.
        image_size: side that the centre square is resized to (bilinear, antialiased); ``None``: unchanged.

    Returns:
        The image, and whether the file is grey.

    Raises:
        ImageError: the file cannot be decoded or holds too many pixels; it is named.
    """
    try:
        stat_regular(path)
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(
                    f"{image.width}x{image.height} pixels are more than the {MAX_PIXELS} allowed"
                )
            if image_size is not None:
                # A large JPEG is decoded at 1/2, 1/4 or 1/8 of its size, at least twice the target.
                image.draft(None, (2 * image_size, 2 * image_size))
            image.load()
            is_grey = image.mode in GREY_MODES
            ImageOps.exif_transpose(image, in_place=True)
            decoded = _flatten(image)
        return (decoded if image_size is None else fit_square(decoded, image_size)), is_grey
    except Exception as error:  # decoders raise almost anything on damaged bytes
        raise ImageError(f"{path} is not a readable JPEG or PNG image: {error}") from error


def _flatten(image: Image.Image) -> Image.Image:
    if image.mode in WIDE_MODES:
        wide = np.asarray(image).astype(np.int64).clip(0, 65535)
        return Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8))
    grey = image.mode in GREY_MODES
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    mode = "L" if grey else "RGB"
    return image if image.mode == mode else image.convert(mode)


def fit_square(
    image: Image.Image, size: int, resampling: Image.Resampling = Image.Resampling.BILINEAR
) -> Image.Image:
    """Resize the centre square of an image to a side in pixels; the same image if it is that already."""
    if image.size == (size, size):
        return image
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return square.resize((size, size), resampling)


def _write_pixels(image: Image.Image, target_chw: np.ndarray) -> None:
    if len(target_chw) == 1:
        target_chw[0] = np.asarray(image if image.mode == "L" else image.convert("L"))
    elif image.mode == "L":
        target_chw[:] = np.asarray(image)[None]
    else:
        target_chw[:] = np.asarray(image).transpose(2, 0, 1)
