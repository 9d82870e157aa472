"""``image_folder``: one folder per class, either below train/ and test/ or directly below the root."""

import hashlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lottery_pipeline.images.labelled import LabelledImages, Source
from lottery_pipeline.images.request import ImageError, ImageRequest

logger = logging.getLogger(__name__)

SUFFIXES = (".jpg", ".jpeg", ".png")
IGNORED_FOLDERS = frozenset({"__MACOSX"})


def find_folder(request: ImageRequest) -> Source:
    """List the images of ``request.root`` without opening any.

    Raises:
        ImageError: the folder is missing, empty, has one class only, or train/ and test/ differ.
    """
    root = Path(request.root or "")
    if not root.is_dir():
        state = "is not a folder" if root.exists() else "does not exist"
        raise ImageError(f"the image folder {root} {state}")
    try:
        parts = _find_parts(root)
        names = _list_classes(parts[0])
        for test_root in parts[1:]:
            _check_same_classes(root, names, _list_classes(test_root))
        files = [[_list_images(part / name) for name in names] for part in parts]
    except OSError as error:
        raise ImageError(f"the image folder {root} cannot be listed: {error}") from error
    paths = [path for part in files for images in part for path, _, _ in images]
    labels = np.concatenate([np.full(len(images), n) for part in files for n, images in enumerate(part)])
    train_count = sum(len(images) for images in files[0])
    digest = hashlib.sha256()
    for path, size, modified_ns in (file for part in files for images in part for file in images):
        line = f"{path[len(str(root)) :]}\0{size}\0{modified_ns}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))

    def load(_seed: int) -> LabelledImages:
        from lottery_pipeline.images.decoding import decode_files

        return LabelledImages(
            tuple(names),
            labels,
            train_count,
            lambda indices: decode_files(
                [paths[index] for index in indices],
                image_size=request.image_size,
                channels=request.channels,
            ),
        )

    return Source(digest.hexdigest(), load)


def _find_parts(root: Path) -> list[Path]:
    """Return the folders that hold the class folders: for training, then for testing if there is one."""
    train, test = root / "train", root / "test"
    # A class may be called "train" (a vehicle): it holds images, a part holds folders.
    has_train, has_test = (part.is_dir() and bool(_list_subfolders(part)) for part in (train, test))
    if has_train and has_test:
        others = sorted(set(_list_subfolders(root)) - {"train", "test"})
        if others:
            logger.warning("%s: ignored beside train/ and test/: %s", root, ", ".join(others))
        return [train, test]
    if has_train or has_test:
        present, absent = ("train", "test") if has_train else ("test", "train")
        raise ImageError(
            f"{root} has {present}/ but no class folders in {absent}/: add them, "
            f"or set data.root to {root / present} to have it split"
        )
    return [root]


def _list_subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not _is_ignored(e.name))


def _is_ignored(name: str) -> bool:
    return name.startswith(".") or name in IGNORED_FOLDERS


def _list_classes(part: Path) -> list[str]:
    names = _list_subfolders(part)
    if not names:
        raise ImageError(
            f"{part} has no class folders: put the images of each class ({', '.join(SUFFIXES)}) into one"
        )
    if len(names) < 2:
        raise ImageError(f"{part} has one class only, {names[0]!r}: at least two are needed")
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise ImageError(f"the class folder {name!r} in {part} has a name that is not UTF-8") from error
    return names


def _check_same_classes(root: Path, train: list[str], test: list[str]) -> None:
    only_train, only_test = sorted(set(train) - set(test)), sorted(set(test) - set(train))
    if only_train or only_test:
        raise ImageError(
            f"train/ and test/ of {root} must have the same class folders; "
            f"only in train/: {', '.join(only_train) or 'none'}; "
            f"only in test/: {', '.join(only_test) or 'none'}"
        )


def _list_images(folder: Path) -> list[tuple[str, int, int]]:
    """List (path, size in bytes, time of change in ns) of the images below a class folder, by path."""
    images, others = [], []
    for entry in _walk(str(folder)):
        if entry.name.lower().endswith(SUFFIXES):
            status = entry.stat()
            images.append((entry.path, status.st_size, status.st_mtime_ns))
        else:
            others.append(entry.path)
    if others:
        logger.warning(
            "%s: %d files are not %s, e.g. %s", folder, len(others), "/".join(SUFFIXES), min(others)
        )
    if not images:
        raise ImageError(f"the class folder {folder} has no images ({', '.join(SUFFIXES)})")
    return sorted(images)


def _walk(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_ignored(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path)
            elif entry.is_file():
                yield entry
