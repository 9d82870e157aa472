"""JPEG and PNG files of any size and mode, decoded in parallel into one uint8 tensor."""

import math
import os
import warnings
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from lottery_pipeline.images.decoding_budget import DecodingBudget
from lottery_pipeline.images.memory import check_memory
from lottery_pipeline.images.pixel_modes import GREY_MODES, flatten, measure_decoding, write_pixels
from lottery_pipeline.images.progress import report_progress
from lottery_pipeline.images.request import ImageError
from lottery_pipeline.reproducibility.files import stat_regular

FORMATS = ("JPEG", "PNG")
MAX_PIXELS = 89_478_485  # 1/4 GiB at three bytes each; Pillow warns above this and refuses above twice this
FILES_PER_TASK = 64
TASKS_PER_WORKER = 4  # at least, so that none waits long for the last
# A smaller file costs more time in the interpreter, which has one lock, than in the decoder. On 2 cores, two
# threads took 187 us for a 32-pixel JPEG (1 kB) and one took 124; for 1000 pixels (57 kB) two threads took
# 501 and one took 865 (Pillow 13.0, Python 3.11).
SMALL_FILE_BYTES = 16 * 1024
FILES_SAMPLED = 64
UNCOUNTED_BYTES = 2**20  # in each thread; a lock for so little would take time


def decode_files(
    paths: Sequence[str],
    *,
    image_size: int | None,
    channels: int | None,
    budget: DecodingBudget | None = None,
    report: bool = True,
) -> Tensor:
    """Decode files in parallel into one preallocated tensor.

    It uses threads, not processes: Pillow decodes and resizes outside the interpreter lock, and threads write
    into the same tensor and cost nothing to start. Small files are decoded by one thread, which is faster.

    Args:
        paths: JPEG or PNG files, at least one.
        image_size: side to resize to; ``None``: all images must have one size.
        channels: 1 or 3; ``None``: 1 if every image is grey, else 3.
        budget: memory for decoding; by default what is free beside the result, with a limit.
        report: whether progress is shown.

    Returns:
        uint8 ``[N, C, H, W]``, contiguous, in the order of ``paths``.

    Raises:
        ImageError: a file is broken, too large or of another size (it is named), or the images do not fit in
            memory.
    """
    with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
        width, height = decode_file(paths[0], image_size, budget)[0].size
        shape = (len(paths), channels or 3, height, width)
        check_memory(math.prod(shape), f"{len(paths)} images of {width}x{height} pixels")
        pixels = np.empty(shape, dtype=np.uint8)
        memory = budget or DecodingBudget(reserved=pixels.nbytes)
        grey = _decode_all(paths, pixels, image_size, memory, report=report)
    tensor = torch.from_numpy(pixels)
    return tensor[:, :1].contiguous() if channels is None and grey else tensor


def _decode_all(
    paths: Sequence[str], pixels: np.ndarray, image_size: int | None, budget: DecodingBudget, *, report: bool
) -> bool:
    """Decode files into ``[N, C, H, W]`` and return whether all are grey."""
    height, width = pixels.shape[2:]
    grey = np.empty(len(paths), dtype=np.bool_)

    workers = _count_workers(paths)
    size = min(FILES_PER_TASK, max(1, len(paths) // (TASKS_PER_WORKER * workers)))

    def decode_some(start: int) -> int:
        chunk = paths[start : start + size]
        for index, path in enumerate(chunk, start):
            with ExitStack() as held:
                image, grey[index] = _decode(path, image_size, budget, held)
                if image.size != (width, height):
                    raise differ_in_size(path, image.size, paths[0], (width, height))
                write_pixels(image, pixels[index])
        return len(chunk)

    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="decode")
    try:
        finished = pool.map(decode_some, range(0, len(paths), size))
        if report:
            report_progress(finished, total=len(paths), label="decoding images")
        else:
            deque(finished, maxlen=0)
    finally:
        pool.shutdown(cancel_futures=True)
    return bool(grey.all())


def _count_workers(paths: Sequence[str]) -> int:
    sample = paths[:: max(1, len(paths) // FILES_SAMPLED)]
    mean_bytes = sum(Path(path).stat().st_size for path in sample) / len(sample)
    return 1 if mean_bytes < SMALL_FILE_BYTES else os.cpu_count() or 1


def decode_file(
    path: str, image_size: int | None, budget: DecodingBudget | None = None
) -> tuple[Image.Image, bool]:
    """Decode one file to mode L or RGB, upright, transparency over white, 16 bits rounded to 8.

    Args:
        path: a JPEG or PNG file.
        image_size: side that the centre square is resized to (bilinear, antialiased); ``None``: unchanged.
        budget: memory for decoding; by default what is free, with a limit.

    Returns:
        The image, and whether the file is grey.

    Raises:
        ImageError: the file cannot be decoded, holds too many pixels, or takes more memory than the budget
            has; it is named.
    """
    with ExitStack() as held:
        return _decode(path, image_size, budget or DecodingBudget(), held)


def _decode(
    path: str, image_size: int | None, budget: DecodingBudget, held: ExitStack
) -> tuple[Image.Image, bool]:
    """Decode as ``decode_file`` does; the memory is counted in the budget until ``held`` is closed."""
    try:
        stat_regular(path)
        with open_image(path, FORMATS) as image:
            pixels = image.width * image.height
            if image_size is not None:
                # A large JPEG is decoded at 1/2, 1/4 or 1/8 of its size, at least twice the target.
                image.draft(None, (2 * image_size, 2 * image_size))
            reserve(path, measure_decoding(image, pixels), budget, held)
            image.load()
            is_grey = image.mode in GREY_MODES
            ImageOps.exif_transpose(image, in_place=True)
            square = image if image_size is None else cut_square(image)
        del image  # what is cut off takes no memory, and needs no other mode
        return flatten(square) if image_size is None else resize(flatten(square), image_size), is_grey
    except ImageError:
        raise
    except Exception as error:  # decoders raise almost anything on damaged bytes
        raise ImageError(f"{path} is not a readable JPEG or PNG image: {error}") from error


def open_image(path: str | Path, formats: tuple[str, ...]) -> Image.Image:
    """Open an image file and check the number of its pixels; none is decoded.

    Raises:
        ImageError: there are more than ``MAX_PIXELS``.
    """
    try:
        image = Image.open(path, formats=formats)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{path} has more than the {MAX_PIXELS} pixels allowed: reduce it") from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise ImageError(
            f"{path} has {image.width}x{image.height} pixels, more than the {MAX_PIXELS} allowed: reduce it"
        )
    return image


def reserve(path: str | Path, size: int, budget: DecodingBudget, held: ExitStack) -> None:
    """Wait until a budget has so many bytes left, and keep them until ``held`` is closed.

    Raises:
        ImageError: the budget never has so many.
    """
    if size > budget.size:
        raise ImageError(
            f"{path} would take {size / 2**20:.0f} MiB of memory to decode, but only "
            f"{budget.size / 2**20:.0f} MiB may be taken: reduce the image, or free memory"
        )
    if size > UNCOUNTED_BYTES:
        held.enter_context(budget.hold(size))


def differ_in_size(path: str, size: tuple[int, int], first: str, first_size: tuple[int, int]) -> ImageError:
    """Return the error for two files whose sizes, width and height in pixels, differ."""
    return ImageError(
        f"{path} is {size[0]}x{size[1]} pixels and {first} is {first_size[0]}x{first_size[1]}: "
        "set data.image_size to bring all images to one size"
    )


def cut_square(image: Image.Image) -> Image.Image:
    """Return the centre square of an image; the same image if it is one."""
    if image.width == image.height:
        return image
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def resize(
    image: Image.Image, size: int, resampling: Image.Resampling = Image.Resampling.BILINEAR
) -> Image.Image:
    """Resize a square image to a side in pixels; the same image if it has that."""
    return image if image.size == (size, size) else image.resize((size, size), resampling)
