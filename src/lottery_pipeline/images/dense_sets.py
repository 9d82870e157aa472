"""``torchvision:`` sets with masks: OxfordIIITPet, VOCSegmentation and Cityscapes, read by torchvision."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lottery_pipeline.images.image_files import digest_files, is_ignored, list_files
from lottery_pipeline.images.labelled import LabelledImages, Source
from lottery_pipeline.images.memory import check_memory
from lottery_pipeline.images.request import ImageError, ImageRequest

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

# The folders each class reads, below root: known here so that a missing one is found before torch is loaded.
FOLDERS = {
    "OxfordIIITPet": ("oxford-iiit-pet/images", "oxford-iiit-pet/annotations"),
    "VOCSegmentation": tuple(
        f"VOCdevkit/VOC2012/{folder}"
        for folder in ("ImageSets/Segmentation", "JPEGImages", "SegmentationClass")
    ),
    "Cityscapes": tuple(f"{kind}/{part}" for kind in ("leftImg8bit", "gtFine") for part in ("train", "val")),
}
# Training and test part. Those with secret labels cannot be used, so validation parts serve as test parts.
PARTS = {
    "OxfordIIITPet": ("trainval", "test"),
    "VOCSegmentation": ("train", "val"),
    "Cityscapes": ("train", "val"),
}
VOC_CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train"),
    "tv monitor",
)
NOTHING = 255  # in a mask: no class
Pair = tuple[str | Path, str | Path]
BYTES_PER_PIXEL = 12  # of an image, three; of its mask, one while it is read and eight afterwards


def find_dense_set(request: ImageRequest) -> Source:
    """Look for the folders of a torchvision data set with masks.

    Raises:
        ImageError: folders are missing and are not to be downloaded, or cannot be.
    """
    name = request.source.removeprefix("torchvision:")
    root = Path(request.root or "")
    folders = [root / folder for folder in FOLDERS[name]]
    missing = [folder for folder in folders if not folder.is_dir()]
    if missing and (name == "Cityscapes" or not request.download):
        advice = "set data.download to true, or put its folders there"
        if name == "Cityscapes":
            advice = "download it by hand (www.cityscapes-dataset.com needs an account) and unpack it there"
        raise ImageError(f"{name} is not under {root} ({missing[0]} is missing): {advice}")
    if missing:
        logger.info("%s is not under %s and will be downloaded", name, root)
    try:
        files = [file for folder in folders if folder not in missing for file in list_files(folder)]
    except OSError as error:
        raise ImageError(f"the folders of {name} under {root} cannot be listed: {error}") from error
    content = digest_files(root, files)
    return Source(content, lambda _seed: _load(request, name, root), is_complete=not missing)


def _load(request: ImageRequest, name: str, root: Path) -> LabelledImages:
    parts = [_open(name, root, part, request) for part in PARTS[name]]
    pairs = [_list_pairs(name, part) for part in parts]
    counts = [len(part) for part in pairs]
    if not all(counts):
        raise ImageError(f"the files of {name} under {root} are damaged: a part has no images")
    side, channels = request.image_size or 0, request.channels or 3
    check_memory(sum(counts) * side**2 * BYTES_PER_PIXEL, f"{sum(counts)} images of {side}x{side} pixels")
    target_names, table = _describe_masks(name)

    files = pairs[0] + pairs[1]

    def read_both(indices: np.ndarray) -> "tuple[torch.Tensor, torch.Tensor]":
        from lottery_pipeline.images.mask_files import read_pairs

        return read_pairs([files[index] for index in indices], table, side=side, channels=channels)

    # Splits are stratified by breed where there is one; a street has no class.
    strata: tuple[str, ...] = ("images",)
    labels = np.zeros(sum(counts), dtype=np.int64)
    if name == "OxfordIIITPet":
        strata = tuple(parts[0].classes)
        labels = np.array([label for part in parts for label in part._labels], dtype=np.int64)
        if not 0 <= labels.min() <= labels.max() < len(strata):
            raise ImageError(f"the files of {name} under {root} are damaged: its parts differ in breeds")
    dense = request.task == "segmentation"
    return LabelledImages(
        strata,
        labels,
        counts[0],
        lambda indices: read_both(indices)[0],
        target_names=target_names if dense else (),
        read_both=read_both if dense else None,
    )


def _open(name: str, root: Path, part: str, request: ImageRequest) -> Any:
    from torchvision import datasets

    options: dict[str, dict[str, Any]] = {
        "OxfordIIITPet": {"split": part, "target_types": "segmentation", "download": request.download},
        "VOCSegmentation": {"year": "2012", "image_set": part},
        "Cityscapes": {"split": part, "mode": "fine", "target_type": "semantic"},
    }
    if name == "VOCSegmentation":  # torchvision would unpack an archive that is there again each time
        present = all((root / folder).is_dir() for folder in FOLDERS[name])
        options[name]["download"] = request.download and not present
    try:
        found = getattr(datasets, name)(root=root, **options[name])
    except Exception as error:  # network, disk and damaged files: torchvision raises almost anything
        reason = " ".join(str(error).split())
        raise ImageError(f"torchvision cannot read {name} under {root}: {reason}") from error
    return found


def _list_pairs(name: str, part: Any) -> list[Pair]:
    """Return the files of each image and its mask."""
    if name == "OxfordIIITPet":
        return list(zip(part._images, part._segs, strict=True))
    if name == "VOCSegmentation":
        return list(zip(part.images, part.masks, strict=True))
    # Listed in the order of the file system, which is not the same everywhere, and with hidden files.
    pairs = zip(part.images, (target for (target,) in part.targets), strict=True)
    return sorted(pair for pair in pairs if not is_ignored(Path(pair[0]).name))


def _describe_masks(name: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the classes, and which of them each value of a mask stands for: uint8 ``[256]``."""
    table = np.full(256, NOTHING, dtype=np.uint8)
    if name == "OxfordIIITPet":
        table[[1, 2, 3]] = [0, 1, 2]
        return ("pet", "background", "border"), table
    if name == "VOCSegmentation":
        table[: len(VOC_CLASSES)] = range(len(VOC_CLASSES))
        return VOC_CLASSES, table
    from torchvision.datasets import Cityscapes

    evaluated = [entry for entry in Cityscapes.classes if 0 <= entry.train_id < NOTHING]
    for entry in evaluated:
        table[entry.id] = entry.train_id
    return tuple(entry.name for entry in sorted(evaluated, key=lambda entry: entry.train_id)), table
