"""What every image source yields: labels first, pixels on demand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


class Partition(NamedTuple):
    """Indices of the images of each part, ascending and disjoint."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Pieces:
    """Images that are read a few at a time, since they may not fit in memory.

    Attributes:
        shape: channels, height and width of every image.
        read: from indices ``[n]`` to uint8 pixels ``[n, C, H, W]`` in that order, resized and converted.
    """

    shape: tuple[int, int, int]
    read: "Callable[[np.ndarray], Tensor]"


@dataclass(frozen=True)
class LabelledImages:
    """Labels of all images, and how to read the pixels of some of them.

    Labels come before pixels, so that a class too small to split is reported, and ``train_limit`` is applied,
    before anything is decoded.

    Attributes:
        class_names: by label.
        labels: int64 ``[N]``, by which images are split; the source's training images first, then those of
            its validation part, then those of its test part.
        train_count: how many of the N are training images; N if the source has no other part of its own.
        read: from indices ``[n]`` to uint8 pixels ``[n, C, H, W]`` in that order, resized and converted.
        target_names: of the outputs of a network for a dense task; empty in classification.
        read_both: for a dense task, reads pixels and targets (as ``lottery_pipeline.images.targets`` has
            them) at once; None in classification, where the labels are the targets.
        validation_count: how many of the N are of the source's own validation part.
        partition: the parts, before ``train_limit``, if the source decides; None lets them be drawn.
        look: from indices ``[n]`` to channels, height and width of what ``read`` yields, without reading any
            pixels; None for sources whose images are always the same.
        pieces: from all indices that will be read to how some of them are; None for a source that has to read
            all at once.
    """

    class_names: tuple[str, ...]
    labels: np.ndarray
    train_count: int
    read: "Callable[[np.ndarray], Tensor]"
    target_names: tuple[str, ...] = ()
    read_both: "Callable[[np.ndarray], tuple[Tensor, Tensor]] | None" = None
    validation_count: int = 0
    partition: Partition | None = None
    look: "Callable[[np.ndarray], tuple[int, int, int]] | None" = None
    pieces: Callable[[np.ndarray], Pieces] | None = None


@dataclass(frozen=True)
class Source:
    """A source that was found and looks right.

    Attributes:
        content: changes when the files behind the source change; empty if there are none.
        load: reads labels (and pixels, if the files do not keep the two apart). Its argument is the seed, for
            sources that draw something.
        is_complete: whether all files are there; otherwise ``load`` downloads what is missing.
    """

    content: str
    load: Callable[[int], LabelledImages]
    is_complete: bool = True
