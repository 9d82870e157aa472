"""Which folders of an image folder are its training, validation and test part, told by their names."""

import logging
import re
from collections.abc import Iterable
from pathlib import Path

from lottery_pipeline.images.image_files import is_image, list_files, list_subfolders
from lottery_pipeline.images.request import ImageError

logger = logging.getLogger(__name__)

# In any case of letters.
PART_NAMES = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_PARTS = {name: part for part, names in PART_NAMES.items() for name in names}
# Names such as training_set or "Test images".
_WORDS = r"(?:data|dataset|folder|images?|imgs?|part|set|split)"
_LIKE_A_PART = re.compile(rf"(?:{_WORDS}[^a-z]*)?({'|'.join(_PARTS)})[^a-z]*{_WORDS}?[^a-z]*")


def find_parts(root: Path) -> dict[str, Path]:
    """Return the folders that hold the class folders, by part and in the order of ``PART_NAMES``.

    A folder without parts is a training part itself. A class may be called "train" (a vehicle): it holds
    images, and a part holds class folders.

    Raises:
        ImageError: it cannot be told what is a part and what a class; the sentence says what was found.
        OSError: a folder cannot be listed.
    """
    names = list_subfolders(root)
    parts = [name for name in names if name.lower() in _PARTS and list_subfolders(root / name)]
    if not parts:
        _refuse_likes(root, names)
        return {"train": root}
    found: dict[str, Path] = {}
    for name in parts:
        known = found.setdefault(_PARTS[name.lower()], root / name)
        if known.name != name:
            raise ImageError(f"{root} holds both {known.name}/ and {name}/: keep one, or join them")
    _check_others(root, parts, [name for name in names if name not in parts])
    if "train" not in found:
        raise ImageError(
            f"{root} holds {_join(parts)} but no training part with class folders: add train/, or set "
            f"data.root to {root / parts[0]} to have it split"
        )
    if len(found) == 1:
        raise ImageError(
            f"{root} holds {_join(parts)} but no other part with class folders: add test/, or set data.root "
            f"to {root / parts[0]} to have it split"
        )
    return {part: found[part] for part in PART_NAMES if part in found}


def _check_others(root: Path, parts: list[str], others: list[str]) -> None:
    """Refuse images beside the parts, which nobody would read."""
    for name in others:
        if name.lower() in _PARTS:
            raise ImageError(
                f"{root} holds {_join(parts)}, and {name}/ without class folders: sort its images into class "
                "folders, or move it away"
            )
        if any(is_image(file.path) for file in list_files(root / name)):
            raise ImageError(
                f"{root} holds {_join(parts)}, and images in {name}/, which is not a part: data.root must "
                f"hold parts alone ({', '.join(_PARTS)}) or classes alone"
            )
    if others:
        logger.warning("%s: ignored beside %s: %s", root, _join(parts), ", ".join(others))


def _refuse_likes(root: Path, names: list[str]) -> None:
    """Refuse classes whose names are like those of two parts or more; one alone may be a class."""
    matches = {name: _LIKE_A_PART.fullmatch(name.lower()) for name in names}
    likes = {name: _PARTS[match[1]] for name, match in matches.items() if match}
    if len(set(likes.values())) > 1:
        raise ImageError(
            f"the folders {_join(likes)} of {root} look like parts of a split data set and not like classes: "
            "name them train, val and test, and give each a folder for each class"
        )


def refuse_inner_parts(class_folder: Path) -> None:
    """Refuse a class folder that is divided into parts, which would all be trained on.

    Raises:
        ImageError: two of its folders or more have names of parts.
        OSError: it cannot be listed.
    """
    inner = [name for name in list_subfolders(class_folder) if name.lower() in _PARTS]
    if len(inner) > 1:
        raise ImageError(
            f"the class folder {class_folder} holds {_join(inner)}: if they are parts of a split, "
            f"data.root must hold them, and each of them a folder {class_folder.name}"
        )


def _join(names: Iterable[str]) -> str:
    return " and ".join(f"{name}/" for name in names)
