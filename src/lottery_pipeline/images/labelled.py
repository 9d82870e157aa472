"""What every image source yields: labels first, pixels on demand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LabelledImages:
    """Labels of all images, and how to read the pixels of some of them.

    Labels come before pixels, so that a class too small to split is reported, and ``train_limit`` is applied,
    before anything is decoded.

    Attributes:
        class_names: by label.
        labels: int64 ``[N]``; the source's training images first, then its test images.
        train_count: how many of the N are training images; N if the source has no test part of its own.
        read: from indices ``[n]`` to uint8 pixels ``[n, C, H, W]`` in that order, resized and converted.
    """

    class_names: tuple[str, ...]
    labels: np.ndarray
    train_count: int
    read: "Callable[[np.ndarray], Tensor]"


@dataclass(frozen=True)
class Source:
    """A source that was found and looks right.

    Attributes:
        content: changes when the files behind the source change; empty if there are none.
        load: reads labels (and pixels, if the files do not keep the two apart).
    """

    content: str
    load: Callable[[], LabelledImages]
