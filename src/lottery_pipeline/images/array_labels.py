"""Labels of arrays, whole numbers or text, numbered by class."""

from collections.abc import Iterable, Mapping

import numpy as np

from lottery_pipeline.images.request import ImageError

LONGEST_NAME = 255  # characters; longer ones are no names
_NAMED = 10  # classes in a message

Label = int | str


def number_labels(
    path: object, parts: Mapping[str, Iterable[np.ndarray]]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Number the classes 0, 1, ... in sorted order.

    Whole numbers keep their value whatever their types: numpy alone would make floats of int64 beside uint64.

    Args:
        path: of the file, for messages.
        parts: the labels ``[n]`` of each array in pieces, by its name; those of training come first.

    Returns:
        int64 ``[N]`` for all pieces in their order, and the class names.

    Raises:
        ImageError: the first part has one class only, another has a class that it lacks, some are numbers and
            some are text, or a text cannot be the name of a class.
    """
    found: dict[Label, int] = {}  # in the order of their first image
    coded: list[np.ndarray] = []
    classes: dict[str, set[Label]] = {name: set() for name in parts}
    for name, pieces in parts.items():
        for piece in pieces:
            values, places = np.unique(piece, return_inverse=True)
            labels = _check_values(f"{name} in {path}", values)
            codes = [found.setdefault(label, len(found)) for label in labels]
            coded.append(np.array(codes, dtype=np.int64)[places.reshape(-1)])
            classes[name].update(labels)
    if len({type(label) for label in found}) > 1:
        raise ImageError(
            f"{' and '.join(parts)} in {path} hold both whole numbers and text: use one kind for all labels"
        )
    _check_classes(path, classes)
    names = sorted(found)
    order = np.empty(len(names), dtype=np.int64)
    order[[found[name] for name in names]] = np.arange(len(names))
    return order[np.concatenate(coded)], tuple(str(name) for name in names)


def _check_values(what: str, values: np.ndarray) -> list[Label]:
    try:
        labels: list[Label] = values.tolist()
        for label in labels:
            str(label).encode()
    except (ValueError, SystemError) as error:  # half a surrogate pair; a number that is not a character
        raise ImageError(f"{what} holds a text that is not valid Unicode") from error
    longest = max(labels, key=lambda label: len(str(label)))
    if len(str(longest)) > LONGEST_NAME:
        raise ImageError(
            f"{what} holds a label of {len(str(longest))} characters, {str(longest)[:20]!r}...; allowed are "
            f"{LONGEST_NAME}"
        )
    return labels


def _check_classes(path: object, classes: dict[str, set[Label]]) -> None:
    (first, known), *others = classes.items()
    if len(known) < 2:
        raise ImageError(f"{first} in {path} has one class only, {known.pop()!r}: at least two are needed")
    for name, present in others:
        if unknown := present - known:
            raise ImageError(
                f"{name} in {path} has classes that {first} lacks: {_list(unknown)}; known are {_list(known)}"
            )


def _list(labels: set[Label]) -> str:
    ordered = [str(label) for label in sorted(labels)]
    more = f" and {len(ordered) - _NAMED} more" if len(ordered) > _NAMED else ""
    return ", ".join(ordered[:_NAMED]) + more
