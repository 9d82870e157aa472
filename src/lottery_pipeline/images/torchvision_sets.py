"""``torchvision:<Class>``: the small classic data sets, read or downloaded by torchvision."""

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery_pipeline.images.labelled import LabelledImages, Source
from lottery_pipeline.images.memory import check_memory
from lottery_pipeline.images.request import ImageError, ImageRequest
from lottery_pipeline.reproducibility.files import describe_state

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
# The files each class reads, below root: known here so that a missing one is found before torch is imported.
FILES: dict[str, tuple[str, ...]] = {
    **{
        name: tuple(f"{name}/raw/{file}" for file in IDX_FILES)
        for name in ("MNIST", "FashionMNIST", "KMNIST")
    },
    "CIFAR10": tuple(
        f"cifar-10-batches-py/{file}"
        for file in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")
    ),
    "CIFAR100": ("cifar-100-python/train", "cifar-100-python/test", "cifar-100-python/meta"),
    "SVHN": ("train_32x32.mat", "test_32x32.mat"),
}


def find_torchvision_set(request: ImageRequest) -> Source:
    """Look for the files of a torchvision data set.

    Raises:
        ImageError: files are missing and ``download`` is off.
    """
    name = request.source.removeprefix("torchvision:")
    root = Path(request.root or "")
    files = [root / file for file in FILES[name]]
    missing = [file for file in files if not file.is_file()]
    if missing and not request.download:
        raise ImageError(
            f"{name} is not under {root} ({missing[0]} is missing): "
            f"set data.download to true, or put its {len(files)} files there"
        )
    if missing:
        logger.info("%s is not under %s and will be downloaded", name, root)
    found = [file.stat() for file in files if file not in missing]
    # The bytes of the files, and the images joined and as they are wanted.
    check_memory(3 * sum(status.st_size for status in found), f"{name} under {root}")
    content = "/".join(map(describe_state, found))
    return Source(content, lambda _seed: _load(request, name, root), is_complete=not missing)


def _load(request: ImageRequest, name: str, root: Path) -> LabelledImages:
    import torch

    from lottery_pipeline.images.conversion import fit_images

    sets = [_open(name, root, train=train, download=request.download) for train in (True, False)]
    # SVHN alone names no classes and calls its targets labels.
    class_names = tuple(getattr(sets[0], "classes", None) or (str(digit) for digit in range(10)))
    labels = [torch.as_tensor(s.labels if name == "SVHN" else s.targets, dtype=torch.int64) for s in sets]
    pixels = [_to_nchw(s.data, channels_first=name == "SVHN") for s in sets]
    for part_pixels, part_labels in zip(pixels, labels, strict=True):
        in_range = bool(((part_labels >= 0) & (part_labels < len(class_names))).all())
        if not in_range or len(part_pixels) != len(part_labels) or not len(part_labels):
            raise ImageError(f"the files of {name} under {root} are damaged: images and labels do not match")
    if pixels[0].shape[1:] != pixels[1].shape[1:]:
        raise ImageError(
            f"the files of {name} under {root} are damaged: train and test images differ in size"
        )
    images = torch.cat(pixels)
    return LabelledImages(
        class_names,
        torch.cat(labels).numpy(),
        len(labels[0]),
        lambda indices: fit_images(
            images, image_size=request.image_size, channels=request.channels, indices=indices
        ),
    )


def _open(name: str, root: Path, *, train: bool, download: bool) -> Any:
    from torchvision import datasets

    part = {"split": "train" if train else "test"} if name == "SVHN" else {"train": train}
    try:
        with warnings.catch_warnings():
            # The CIFAR files were pickled by an old NumPy; they are checked against their MD5 first.
            warnings.filterwarnings("ignore", message=r"dtype\(\): align should be passed")
            return getattr(datasets, name)(root=root, download=download, **part)
    except Exception as error:  # network, disk and damaged files: torchvision raises almost anything
        reason = " ".join(str(error).split())
        raise ImageError(f"torchvision cannot read {name} under {root}: {reason}") from error


def _to_nchw(data: Any, *, channels_first: bool) -> "Tensor":
    import torch

    pixels = torch.as_tensor(data)
    if pixels.dim() == 3:
        return pixels[:, None]
    return (pixels if channels_first else pixels.permute(0, 3, 1, 2)).contiguous()
