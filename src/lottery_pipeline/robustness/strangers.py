"""Strangers: sets of images unlike those that a network was trained on, at the size and channels of those."""

from pathlib import Path

import torch
from torch import Tensor

from lottery_pipeline.images.conversion import fit_images
from lottery_pipeline.images.decoding import decode_files
from lottery_pipeline.images.duplicates import hash_images
from lottery_pipeline.images.image_files import SUFFIXES, is_image, list_files
from lottery_pipeline.images.request import DENSE_SETS, SMALLEST_CANVAS, SOURCES, ImageError, ImageRequest
from lottery_pipeline.images.sources import find_source
from lottery_pipeline.images.splits import PARTS, ImageSet, ImageSplits
from lottery_pipeline.options.robustness import OFFLINE_STRANGERS, DetectionOptions
from lottery_pipeline.reproducibility.seeds import make_generator

_TORCHVISION_SETS = tuple(
    name for name, tasks in SOURCES.items() if name.startswith("torchvision:") and "classification" in tasks
)

_ANY_SIDE = 32  # of a request that is only checked


def gather_strangers(images: ImageSplits, options: DetectionOptions, *, seed: int) -> dict[str, ImageSet]:
    """Make or read every set of strangers; the same for every network.

    - ``noise``: uniform in 0..255, each value by itself.
    - ``shuffled_pixels``: test images, the pixels of each in an order of its own: same colours, no shapes.
    - ``other_digits``: the handwritten digits of scikit-learn; canvases of several such digits on clutter if
      the network was trained on the plain ones, so these differ in looks, not in what they show.
    - ``torchvision:<name>``: the test part of a set that lies under ``options.root``.
    - ``folder:<path>``: every JPEG and PNG file in a folder and below it.

    Args:
        images: what the network was trained and is tested on.
        options: which sets, and at most how many images of each; the offline sets have no more images than
            the test part. Relative paths are read from the working directory.
        seed: of what is drawn and of which images are taken.

    Returns:
        Sets by name. Their labels are all 0 and mean nothing.

    Raises:
        ImageError: a set is missing, empty or damaged, or one of the images that are taken is also in the
            training, validation or test part (the same pixels, after resizing).
    """
    check_strangers(options, source=images.source)
    known = {digest for part in PARTS for digest in hash_images(getattr(images, part).images)}
    gathered = {}
    for name in options.sets:
        if name in _GENERATED:
            pixels = _GENERATED[name](images, options, seed)
        else:
            pixels = _read(name, images, options, seed)
            _refuse_known(name, pixels, known)
        gathered[name] = ImageSet(pixels, torch.zeros(len(pixels), dtype=torch.int64))
    return gathered


def check_strangers(options: DetectionOptions, *, source: str) -> None:
    """Raise before any work if a set of strangers is missing or is the set that is trained on.

    Args:
        options: which sets.
        source: of the images that the network is trained on.

    Raises:
        ImageError: one sentence that says what is wrong, where, and what is allowed.
    """
    for name in options.sets:
        if name.startswith("folder:"):
            _list_files(Path(name.removeprefix("folder:")))
        elif name not in OFFLINE_STRANGERS:
            if name not in _TORCHVISION_SETS:
                allowed = ", ".join(_TORCHVISION_SETS)
                raise ImageError(f"{name!r} is not a valid set of strangers; allowed are {allowed}")
            if name == source:
                raise ImageError(
                    f"{name!r} is what the network is trained on, so its images are no strangers"
                )
            if not options.root:
                raise ImageError(f"the strangers {name!r} need root: the folder that holds the set")
            find_source(_make_request(name, source, _ANY_SIDE, options))


def choose_indices(count: int, limit: int | None, *, seed: int) -> Tensor:
    """Return the ascending indices of at most ``limit`` of ``count`` images: int64, all if it is None."""
    if limit is None or limit >= count:
        return torch.arange(count)
    return torch.randperm(count, generator=make_generator(seed, "strangers"))[:limit].sort().values


def _draw_noise(images: ImageSplits, options: DetectionOptions, seed: int) -> Tensor:
    test = images.test.images
    count = len(choose_indices(len(test), options.images, seed=seed))
    generator = make_generator(seed, "strangers", "noise")
    return torch.randint(0, 256, (count, *test.shape[1:]), generator=generator, dtype=torch.uint8)


def _shuffle_pixels(images: ImageSplits, options: DetectionOptions, seed: int) -> Tensor:
    test = images.test.images.cpu()
    chosen = test[choose_indices(len(test), options.images, seed=seed)].flatten(2)
    generator = make_generator(seed, "strangers", "shuffled_pixels")
    order = torch.rand((len(chosen), 1, chosen.shape[2]), generator=generator).argsort(dim=2)
    return chosen.gather(2, order.expand_as(chosen)).view(-1, *test.shape[1:])


_GENERATED = {"noise": _draw_noise, "shuffled_pixels": _shuffle_pixels}


def _read(name: str, images: ImageSplits, options: DetectionOptions, seed: int) -> Tensor:
    """Read the chosen images of a set, and only those: uint8 ``[n, C, H, W]`` as the network's images are."""
    height, width = images.image_size
    side = max(height, width)
    if name.startswith("folder:"):
        files = _list_files(Path(name.removeprefix("folder:")))
        chosen = choose_indices(len(files), options.images, seed=seed).tolist()
        pixels = decode_files([files[index] for index in chosen], image_size=side, channels=images.channels)
    else:
        limit = options.images
        if name in OFFLINE_STRANGERS:
            limit = min(len(images.test), limit or len(images.test))
        pixels = _read_source(_make_request(name, images.source, side, options), limit, seed)
    pixels = fit_images(pixels, image_size=side, channels=images.channels)
    top, left = (side - height) // 2, (side - width) // 2
    return pixels[:, :, top : top + height, left : left + width].contiguous()


def _make_request(name: str, source: str, side: int, options: DetectionOptions) -> ImageRequest:
    if name != "other_digits":
        return ImageRequest(source=name, root=options.root, image_size=side if name in DENSE_SETS else None)
    if source == "digits":
        return ImageRequest(source="canvases", image_size=max(side, SMALLEST_CANVAS))
    return ImageRequest(source="digits")


def _read_source(request: ImageRequest, limit: int | None, seed: int) -> Tensor:
    """Read images of the test part of a source, or of all of it if it has no such part."""
    found = find_source(request).load(seed)
    count = len(found.labels)
    first = found.train_count if found.train_count < count else 0
    pool = torch.arange(first, count) if found.partition is None else torch.from_numpy(found.partition.test)
    return found.read(pool[choose_indices(len(pool), limit, seed=seed)].numpy())


def _list_files(folder: Path) -> list[str]:
    if not folder.is_dir():
        state = "is not a folder" if folder.exists() else "does not exist"
        raise ImageError(f"the folder of strangers {folder} {state}")
    try:
        files = [file.path for file in list_files(folder) if is_image(file.path)]
    except OSError as error:
        raise ImageError(f"the folder of strangers {folder} cannot be listed: {error}") from error
    if not files:
        raise ImageError(f"the folder of strangers {folder} has no images ({', '.join(SUFFIXES)})")
    return files


def _refuse_known(name: str, pixels: Tensor, known: set[bytes]) -> None:
    count = sum(digest in known for digest in hash_images(pixels))
    if count:
        raise ImageError(
            f"{count} of {len(pixels)} images of {name!r} are also among the training, validation or test "
            "images, so they are no strangers: choose another set"
        )
