"""``image_folder``: one folder per class, below parts such as train/ and test/ or directly below the root."""

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from lottery_pipeline.images.folder_parts import find_parts, refuse_inner_parts
from lottery_pipeline.images.image_files import (
    SUFFIXES,
    FoundFile,
    digest_files,
    is_ignored,
    is_image,
    list_files,
    list_subfolders,
)
from lottery_pipeline.images.labelled import LabelledImages, Source
from lottery_pipeline.images.request import ImageError, ImageRequest

logger = logging.getLogger(__name__)

ByClass = list[list[FoundFile]]


def find_folder(request: ImageRequest) -> Source:
    """List the images of ``request.root`` without opening any.

    Raises:
        ImageError: the folder is missing or empty, has one class only, does not tell parts from classes, or a
            part has a class that the training part lacks.
    """
    root = Path(request.root or "")
    if not root.is_dir():
        state = "is not a folder" if root.exists() else "does not exist"
        raise ImageError(f"the image folder {root} {state}")
    try:
        parts = find_parts(root)
        _refuse_loose_images([root, *parts.values()])
        names = _list_classes(parts["train"])
        files = _list_parts(parts, names)
    except OSError as error:
        raise ImageError(f"the image folder {root} cannot be listed: {error}") from error
    listed = [file for by_class in files.values() for images in by_class for file in images]
    _check_depth(root, listed)
    labels = [np.full(len(images), n) for by_class in files.values() for n, images in enumerate(by_class)]
    counts = {part: sum(map(len, by_class)) for part, by_class in files.items()}

    def load(_seed: int) -> LabelledImages:
        from lottery_pipeline.images.decoding import decode_files
        from lottery_pipeline.images.headers import read_shape
        from lottery_pipeline.images.image_pieces import find_pieces

        return LabelledImages(
            tuple(names),
            np.concatenate(labels),
            counts["train"],
            lambda indices: decode_files(
                [listed[index].path for index in indices],
                image_size=request.image_size,
                channels=request.channels,
            ),
            validation_count=counts.get("validation", 0),
            look=lambda indices: read_shape(
                [listed[index].path for index in indices],
                image_size=request.image_size,
                channels=request.channels,
            ),
            pieces=lambda indices: find_pieces([file.path for file in listed], indices, request),
        )

    return Source(digest_files(root, listed), load)


def _refuse_loose_images(folders: Iterable[Path]) -> None:
    for folder in folders:
        names = [entry.name for entry in folder.iterdir() if is_image(entry.name) and entry.is_file()]
        loose = [name for name in names if not is_ignored(name)]
        if loose and list_subfolders(folder):
            raise ImageError(
                f"{folder} holds {len(loose)} images beside its folders, such as {min(loose)}: put each into "
                "the folder of its class, or move them away"
            )


def _list_classes(part: Path) -> list[str]:
    names = list_subfolders(part)
    if not names:
        raise ImageError(
            f"{part} has no class folders: put the images of each class ({', '.join(SUFFIXES)}) into one"
        )
    if len(names) < 2:
        raise ImageError(
            f"{part} has one class only, {names[0]!r}: at least two are needed; if that folder holds the "
            f"classes, set data.root to {part / names[0]}"
        )
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise ImageError(f"the class folder {name!r} in {part} has a name that is not UTF-8") from error
        refuse_inner_parts(part / name)
    return names


def _list_parts(parts: dict[str, Path], names: list[str]) -> dict[str, ByClass]:
    """List the images of each class of each part; a part other than that for training may lack classes."""
    visited: dict[tuple[int, int], str] = {}
    files = {}
    for part, folder in parts.items():
        present = list_subfolders(folder)
        if unknown := sorted(set(present) - set(names)):
            raise ImageError(
                f"{folder} has class folders that {parts['train']} lacks: {', '.join(unknown)}; known are "
                f"{', '.join(names)}"
            )
        by_class = [_list_images(folder / name, visited) if name in present else [] for name in names]
        lacking = [name for name, images in zip(names, by_class, strict=True) if not images]
        if lacking and (part == "train" or len(lacking) == len(names)):
            what = f"the class folder {folder / lacking[0]}" if lacking[0] in present else f"{folder}"
            raise ImageError(f"{what} has no images ({', '.join(SUFFIXES)})")
        if lacking:
            logger.warning("%s has no images of %s", folder, ", ".join(lacking))
        files[part] = by_class
    return files


def _list_images(folder: Path, visited: dict[tuple[int, int], str]) -> list[FoundFile]:
    """List the images below a class folder, by path, and mention what else is there."""
    found = list_files(folder, visited)
    others = [file.path for file in found if not is_image(file.path)]
    if others:
        logger.warning(
            "%s: %d files are not %s, e.g. %s", folder, len(others), "/".join(SUFFIXES), min(others)
        )
    return [file for file in found if is_image(file.path)]


def _check_depth(root: Path, listed: list[FoundFile]) -> None:
    """Refuse images at two depths, since the folders between may be the classes."""
    first = listed[0]
    other = next((file for file in listed if file.depth != first.depth), None)
    if other is not None:
        raise ImageError(
            f"the images of {root} lie at two depths below the classes, such as {first.path} and "
            f"{other.path}: put all of them at one"
        )
